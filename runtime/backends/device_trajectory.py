"""The work of one shape of batch, from its numbers to its pictures: memory, contexts, and the CUDA graph of it all."""

import contextlib
import math
from typing import Any

import numpy as np

from fdcn.runtime.backends import device_tables
from fdcn.runtime.backends.base import Batch
from fdcn.runtime.backends.device_arena import DeviceArena
from fdcn.runtime.backends.device_capture import CudaGraph
from fdcn.runtime.backends.device_layout import Layout, Tensor
from fdcn.runtime.backends.device_picture import Picture
from fdcn.runtime.backends.device_shape import Shape
from fdcn.runtime.backends.trt_engine import TrtEngine
from fdcn.runtime.backends.trt_graph import Context
from fdcn.runtime.kernels import SamplerKernels
from fdcn.sizes import format_size


class Trajectory:
    """Everything that a batch of one shape needs on the device and beside it, for one run at a time.

    A run is `fill`, then `launch`, or `begin`, each `row` in order and `finish`; then `results`, when all that is done.
    Made and called in the engine's turn, but for `capture` and `results`.
    """

    def __init__(self, engine: TrtEngine, kernels: SamplerKernels, arena: DeviceArena, shape: Shape) -> None:
        """Raises DeviceOutOfMemory, for all of it together, and FdcnError where the engine has no profile for it."""
        self.shape, self.refused = shape, False
        self._engine, self._kernels, self._arena, self._device = engine, kernels, arena, engine.device
        self._graph: CudaGraph | None = None
        self._graph_bytes = 0
        self._tables = device_tables.tables(shape, engine.manifest.model.blocks)
        self._picture = Picture(engine, kernels, shape)
        self._contexts = self._make_contexts()
        self._layout = Layout(self._tensors())
        self._read = Layout({name: self._layout.tensors[name] for name in ("point", "pixels", "wrong")})
        with contextlib.ExitStack() as closing:
            what = f"{shape.images} images of {format_size(shape.size)}"
            self._start = self._device.allocate(what, self._layout.size)
            closing.callback(self._device.free, self._start)
            self._given = self._device.allocate_pinned(what, self._tables.size)
            closing.callback(self._device.free_pinned, self._given)
            self._got = self._device.allocate_pinned(what, self._read.size)
            closing.callback(self._device.free_pinned, self._got)
            self.events = self._device.new_event(), self._device.new_event()
            for event in self.events:
                closing.callback(self._device.free_event, event)
            self._bind()
            self._closing = closing.pop_all()

    @property
    def bytes(self) -> int:
        """Of the device's memory."""
        return self._layout.size + self._graph_bytes

    @property
    def captured(self) -> bool:
        """Whether `launch` can be called."""
        return self._graph is not None

    def fill(self, batch: Batch) -> None:
        """Take a batch's numbers; the slots come with `place_slots`."""
        device_tables.fill(self._tables, self._given, batch)
        if isinstance(batch.noise, np.ndarray):
            self._noise = np.ascontiguousarray(batch.noise, np.float32)  # it must stay until the copy is done
            self._copy("noise", self._noise.ctypes.data, "HostToDevice")

    def take_noise(self, address: int) -> None:
        """Copy the initial latents from where they lie on the device."""
        self._copy("noise", address, "DeviceToDevice")

    def place_slots(self, r: int, slots: np.ndarray) -> None:
        """Say where the modulations of row `r` lie."""
        self._tables.view(self._given, "slots")[r, : len(slots)] = slots

    def upload_slots(self, r: int, stream: int) -> None:
        """Send the slots of row `r` alone, after `begin`."""
        offset = self._tables.offsets["slots"] + r * 4 * self._tables.tensors["slots"].shape[1]
        size = 4 * self._tables.tensors["slots"].shape[1]
        source = self._given.ctypes.data + offset
        self._device.copy("slots", self._at("tables") + offset, source, size, "HostToDevice", stream)

    def begin(self, stream: int) -> None:
        """Send the numbers, and make the first point."""
        size = self._tables.size
        self._device.copy("tables", self._at("tables"), self._given.ctypes.data, size, "HostToDevice", stream)
        noise = 0 if self.shape.drawn else self._at("noise")
        self._kernels.begin(
            noise,
            self._table("seeds"),
            self._at("base"),
            self._at("point"),
            self._at("latent"),
            self.shape.images,
            self._elements,
            self.shape.rows[0][1],
            stream,
        )

    def row(self, r: int, stream: int, predicted: bool = False) -> None:
        """Evaluate the network at row `r` and advance; with the final latents that this predicts, if asked."""
        shape, at = self.shape, self._at
        graph, passes = shape.rows[r]
        rows, slots = passes * shape.images, self._table("slots", r)
        for name in ("modulation", "final"):
            width = self._arena.widths[name]
            self._kernels.gather(slots, self._arena.address(name), at(name), rows, width, stream)
        blocks = self._layout.tensors["s_max"].shape[1]
        self._kernels.gather(self._table("own", r), self._table("s_max"), at("s_max"), rows, blocks, stream)
        self._contexts[graph, rows].enqueue(stream)
        following = shape.rows[r + 1][1] if r + 1 < len(shape.rows) else 0
        self._kernels.advance(
            self._table("numbers", r),
            at("velocity"),
            self._table("seeds"),
            at("base"),
            at("point"),
            at("history"),
            at("latent"),
            at("predicted") if predicted else 0,
            images=shape.images,
            elements=self._elements,
            guided=self._guided,
            history=shape.history,
            row=r,
            passes=passes,
            next_passes=following,
            stream=stream,
        )

    def finish(self, stream: int) -> None:
        """From the last point to the results in the host's memory."""
        self._device.call("clearing a flag", "cudaMemsetAsync", self._at("wrong"), 0, 4, stream)
        count = self.shape.images * self._elements
        self._kernels.find_not_finite(self._at("point"), count, self._at("wrong"), stream)
        self._picture.enqueue(self._at("point"), self._at("pixels"), stream)
        self._fetch(self._read.tensors, stream)

    def preview(self, stream: int) -> None:
        """Pixels of what the last row predicted, to the host's memory; call `pixels` when that is done."""
        self._picture.enqueue(self._at("predicted"), self._at("pixels"), stream)
        self._fetch(("pixels",), stream)

    def run(self, stream: int) -> None:
        """All of it."""
        self.begin(stream)
        for r in range(len(self.shape.rows)):
            self.row(r, stream)
        self.finish(stream)

    def capture(self, stream: int) -> None:
        """Record `run`, which has been done once; raises what keeps it from being recorded."""
        free = self._device.free_memory()
        self._graph = CudaGraph(self._device, stream, self.run)
        # Others take and give memory meanwhile: it is an estimate.
        self._graph_bytes = max(0, free - self._device.free_memory())

    def launch(self) -> None:
        """Do `run` on the device's stream as one CUDA graph."""
        assert self._graph is not None
        self._graph.launch()

    def result(self, name: str) -> np.ndarray:
        """A copy of "point", "pixels" or "wrong" (1 where a value is not finite) as the run left it on the host."""
        return self._read.view(self._got, name).copy()

    def lend(self, name: str) -> tuple[int, Tensor]:
        """Where a tensor lies on the device until the next run."""
        return self._at(name), self._layout.tensors[name]

    def close(self) -> None:
        """Give everything back; nothing of it is running."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        self._contexts.clear()
        self._closing.close()

    def _make_contexts(self) -> dict[tuple[str, int], Context]:
        """A context for each graph and number of rows: a CUDA graph holds one shape of it alone."""
        made: dict[tuple[str, int], Context] = {}
        blocks, latent = self._engine.manifest.model.blocks, self.shape.latent
        for graph, passes in set(self.shape.rows):
            rows, engine = passes * self.shape.images, self._engine.graphs[graph]
            profile, parts = self._engine.fitting(graph, rows, latent[1:])
            if len(parts) > 1:
                raise self._engine.outside(graph, self._engine.extent(rows, latent[1:]))
            context = made[graph, rows] = engine.context()
            shapes = {name: (rows, *engine.shape(name)[1:]) for name in ("modulation", "final")}
            shapes |= {"latent": (rows, *latent), "s_max": (rows, blocks, 2)}
            context.reshape(profile, shapes, self._device.stream)
        return made

    def _tensors(self) -> dict[str, Tensor]:
        shape, rows = self.shape, self.shape.passes * self.shape.images
        images = Tensor((shape.images, *shape.latent))
        network = Tensor((rows, *shape.latent))
        conditioned = {name: Tensor((rows, width)) for name, width in self._arena.widths.items()}
        tensors = {"tables": Tensor((self._tables.size,), np.uint8), "latent": network, "velocity": network}
        tensors |= conditioned | {"s_max": Tensor((rows, 2 * self._engine.manifest.model.blocks))}
        tensors |= dict.fromkeys(("base", "point", "predicted"), images)
        tensors |= {"history": Tensor((shape.history, *images.shape)), "wrong": Tensor((1,), np.int32)}
        tensors |= {} if shape.drawn else {"noise": images}
        return tensors | self._picture.tensors | {"pixels": self._picture.pixels}

    def _bind(self) -> None:
        self._picture.place({name: self._at(name) for name in self._picture.tensors})
        for (graph, _), context in self._contexts.items():
            (output,) = self._engine.graphs[graph].outputs
            for name in self._engine.graphs[graph].inputs:
                context.bind(name, self._at(name))
            context.bind(output, self._at("velocity"))

    @property
    def _elements(self) -> int:
        return math.prod(self.shape.latent)

    @property
    def _guided(self) -> int:
        """How many elements of an image are guided."""
        channels, height, width = self.shape.latent
        return (channels if self.shape.guided is None else min(self.shape.guided, channels)) * height * width

    def _at(self, name: str) -> int:
        return self._start + self._layout.offsets[name]

    def _table(self, name: str, r: int = 0) -> int:
        tensor = self._tables.tensors[name]
        return self._at("tables") + self._tables.offsets[name] + r * tensor.bytes // tensor.shape[0]

    def _copy(self, name: str, source: int, kind: str) -> None:
        self._device.copy(name, self._at(name), source, self._layout.tensors[name].bytes, kind)

    def _fetch(self, names: Any, stream: int) -> None:
        for name in names:
            to = self._got.ctypes.data + self._read.offsets[name]
            self._device.copy(name, to, self._at(name), self._layout.tensors[name].bytes, "DeviceToHost", stream)
