"""Modulations on the device: those of `ConditioningCache`'s slots, made by the conditioner where they are missing."""

from collections.abc import Callable, Sequence

import numpy as np

from fdcn.runtime.backends.device import Buffer
from fdcn.runtime.backends.device_layout import Layout, Tensor
from fdcn.runtime.backends.profiles import split
from fdcn.runtime.backends.trt_engine import TrtEngine
from fdcn.runtime.backends.trt_graph import Context
from fdcn.runtime.conditioning import ConditioningCache, Key, products
from fdcn.runtime.kernels import SamplerKernels

BUDGET = 1 << 30
"""Bytes of modulations kept, at most a sixteenth of the device's memory, and a quarter of what is free."""
SHARE = 16
MADE_AT_ONCE = 32 << 20
"""Bytes of modulations that the conditioner makes at a time: they are copied into their slots."""
RING = 64
"""Runs of the conditioner whose inputs wait in the host's memory at a time."""


class DeviceArena:
    """Slots of modulations, and the conditioner that fills them. All calls are made in the engine's turn.

    What is given to the device's stream later may read a slot as soon as `slots` has returned, and until the next call.
    """

    def __init__(self, engine: TrtEngine, kernels: SamplerKernels) -> None:
        self._engine, self._kernels, self._device = engine, kernels, engine.device
        graph = engine.graphs["conditioner"]
        self.widths = {name: int(np.prod(graph.shape(name)[1:])) for name in ("modulation", "final")}
        largest = max(profile.max.batch for profile in engine.profiles["denoiser"])
        budget = min(BUDGET, self._device.total_memory() // SHARE, self._device.free_memory() // 4)
        self._cache = ConditioningCache(max(largest, budget // engine.conditioning_bytes))
        (_, _, (steps,)), (_, _, (labels,)) = (graph.ranges(name)[0] for name in ("t", "label"))
        made = max(1, MADE_AT_ONCE // engine.conditioning_bytes)
        self._most = min(steps, made), min(labels, made)
        self._rows = min(made, steps * labels)
        self._inputs = Layout(
            {
                "t": Tensor((steps,)),
                "label": Tensor((labels,), np.int64),
                "slots": Tensor((self._rows,), np.int32),
            }
        )
        made_rows = {name: Tensor((self._rows, width)) for name, width in self.widths.items()}
        self._made = Layout({**self._inputs.tensors, **made_rows})
        self._context: Context | None = None
        self._staged, self._runs = np.empty(0, np.uint8), 0
        self._buffers = {name: Buffer(self._device, f"the cache of modulations ({name})") for name in self.widths} | {
            "made": Buffer(self._device, "the conditioner's inputs and outputs")
        }

    def address(self, name: str) -> int:
        """Where the slots of "modulation" or "final" lie."""
        return self._buffers[name].address

    @property
    def capacity(self) -> int:
        """How many distinct (time, class) pairs are held at a time."""
        return self._cache.slots

    def slots(self, keys: Sequence[Key], ahead: Callable[[], list[Key]] = list) -> np.ndarray:
        """Slots of these pairs, int32, filled in the stream's order. Where some are missing, `ahead`'s are made too.

        The distinct ones of `keys` and `ahead()` together are at most `capacity`.
        """
        self._ready()
        reserved = self._cache.reserve(keys)
        assert reserved is not None  # nobody keeps a pin beyond a turn
        try:
            if not reserved.missing:
                return reserved.slots
        finally:
            self._cache.release(keys)
        everything = [*keys, *ahead()]
        reserved = self._cache.reserve(everything)
        assert reserved is not None
        try:
            for times, labels in products(reserved.missing):
                self._make(times, labels, reserved.missing)
            self._cache.filled(reserved.missing)
        finally:
            self._cache.release(everything)
        return reserved.slots[: len(keys)]

    def close(self) -> None:
        """Give everything back."""
        self._context = None
        if self._staged.size:
            self._device.free_pinned(self._staged)
            self._staged = np.empty(0, np.uint8)
        for buffer in self._buffers.values():
            buffer.release()

    def _ready(self) -> None:
        """Take the memory that everything lies in, when it is first used."""
        if self._context is not None:
            return
        for name, width in self.widths.items():
            self._buffers[name].reserve(4 * width * self.capacity)
        start = self._buffers["made"].reserve(self._made.size)
        if not self._staged.size:
            self._staged = self._device.allocate_pinned("the conditioner's inputs", RING * self._inputs.size)
        context = self._engine.graphs["conditioner"].context()
        for name in ("t", "label", *self.widths):
            context.bind(name, start + self._made.offsets[name])
        self._context = context

    def _make(self, times: list[float], labels: list[int], slots: dict[Key, int]) -> None:
        """Give the stream the conditioner's work for all pairs of times and labels, into their slots."""
        for s in split(len(times), self._most[0]):
            together = max(1, min(self._most[1], self._rows // len(times[s])))
            for b in split(len(labels), together):
                self._run(times[s], labels[b], [slots[t, label] for t in times[s] for label in labels[b]])

    def _run(self, times: list[float], labels: list[int], slots: list[int]) -> None:
        assert self._context is not None
        device, start = self._device, self._buffers["made"].address
        turn = self._runs % RING
        if self._runs and not turn:
            device.synchronize("making modulations")  # the copies out of the ring are done
        self._runs += 1
        staged = self._staged[turn * self._inputs.size : (turn + 1) * self._inputs.size]
        for name, values in (("t", times), ("label", labels), ("slots", slots)):
            self._inputs.view(staged, name)[: len(values)] = values
        device.copy("the conditioner's inputs", start, staged.ctypes.data, staged.nbytes, "HostToDevice")
        self._context.reshape(0, {"t": (len(times),), "label": (len(labels),)}, device.stream)
        self._context.enqueue(device.stream)
        made = {name: start + self._made.offsets[name] for name in ("slots", *self.widths)}
        for name, width in self.widths.items():
            self._kernels.scatter(made["slots"], made[name], self.address(name), len(slots), width, device.stream)
