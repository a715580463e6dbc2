"""One batch on its way through a trajectory."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.backends.base import Batch, Sampled, Show
from fdcn.runtime.backends.device import Memory
from fdcn.runtime.backends.device_arena import DeviceArena
from fdcn.runtime.backends.device_arrays import DeviceArray
from fdcn.runtime.backends.device_trajectory import Trajectory
from fdcn.runtime.backends.trt_engine import TrtEngine
from fdcn.runtime.conditioning import Key, row_keys

RESULTS = {"latents": "point", "pixels": "pixels"}
"""By their names in `Sampled`, the trajectory's tensors."""
logger = logging.getLogger("fdcn")


class NotFinite(FdcnError):
    """The result has values that are infinite or no numbers."""


class Run:
    """A batch, and the trajectory that is this run's alone. `noise` is the address of initial latents on the device."""

    def __init__(
        self, engine: TrtEngine, arena: DeviceArena, trajectory: Trajectory, batch: Batch, noise: int | None
    ) -> None:
        self._engine, self._device, self._arena = engine, engine.device, arena
        self._trajectory, self._batch, self._noise = trajectory, batch, noise
        self._keys = [row_keys(row, batch.labels, batch.null) for row in batch.plan.rows]
        distinct = len({key for keys in self._keys for key in keys})
        self.fits = distinct <= arena.capacity
        """Whether the modulations of all rows can be there at once, as a CUDA graph needs them."""
        if not self.fits:
            logger.warning("%s", say("sampling.too_many_modulations", needed=distinct, kept=arena.capacity))
        self._kept: dict[str, Memory] = {}
        if batch.on_device:
            with self._device.current():
                for name, tensor in RESULTS.items():
                    self._kept[name] = Memory(self._device, name, trajectory.lend(tensor)[1].bytes)

    def sampled(self, done: Callable[[int], None], show: Show) -> Sampled:
        """Do it, and wait for it. Raises NotFinite, and what `done` and `show` raise."""
        with self._engine.turn():
            if self._batch.stream is not None:
                self._device.follow(self._batch.stream)
            self._trajectory.fill(self._batch)
            if self._noise is not None:
                self._trajectory.take_noise(self._noise)
        if self._trajectory.captured and self.fits and not self._batch.preview_every:
            self._at_once()
        else:
            self._row_by_row(done, show)
        self._device.wait(self._trajectory.events[0], self._doing)
        done(len(self._keys))
        if self._trajectory.result("wrong")[0]:
            raise NotFinite(say("sampling.not_finite"))
        return Sampled(self._result("latents"), self._result("pixels"))

    def _at_once(self) -> None:
        """Give the device all of it, as one CUDA graph."""
        with self._engine.turn():
            slots = self._arena.slots([key for keys in self._keys for key in keys])
            ends = np.cumsum([len(keys) for keys in self._keys])
            for r, of_row in enumerate(np.split(slots, ends[:-1])):
                self._trajectory.place_slots(r, of_row)
            self._trajectory.launch()
            self._keep()

    def _row_by_row(self, done: Callable[[int], None], show: Show) -> None:
        """Give it to the device a row at a time, one ahead of what is done.

        Other threads' work may come between the rows.
        """
        trajectory, device, stream, every = (
            self._trajectory,
            self._device,
            self._device.stream,
            self._batch.preview_every,
        )
        last = len(self._keys) - 1
        for r in range(len(self._keys)):
            shown = bool(every) and (r + 1) % every == 0 and r < last
            with self._engine.turn():
                self._condition(r)
                trajectory.row(r, stream, predicted=shown)
                if shown:
                    trajectory.preview(stream)
                device.record(trajectory.events[r % 2], stream)
            if r:
                device.wait(trajectory.events[(r - 1) % 2], self._doing)
                done(r)
            if shown:
                device.wait(trajectory.events[r % 2], self._doing)
                show(r + 1, trajectory.result("pixels"))
        with self._engine.turn():
            trajectory.finish(stream)
            self._keep()

    def _condition(self, r: int) -> None:
        """Have the modulations of row `r` where the device finds them, and begin with row 0."""

        def ahead() -> list[Key]:
            """The keys of the rows that follow, as many as there is room for."""
            keys = dict.fromkeys(self._keys[r])
            for following in self._keys[r + 1 :]:
                more = keys | dict.fromkeys(following)
                if len(more) > self._arena.capacity:
                    break
                keys = more
            return list(keys)

        self._trajectory.place_slots(r, self._arena.slots(self._keys[r], ahead))
        if r:
            self._trajectory.upload_slots(r, self._device.stream)
        else:
            self._trajectory.begin(self._device.stream)

    def _keep(self) -> None:
        """Copy results that stay on the device to their own memory; then the first event marks the end."""
        for name, memory in self._kept.items():
            address, tensor = self._trajectory.lend(RESULTS[name])
            self._device.copy(name, memory.address, address, tensor.bytes, "DeviceToDevice")
        self._device.record(self._trajectory.events[0], self._device.stream)

    def _result(self, name: str) -> Any:
        if name not in self._kept:
            return self._trajectory.result(RESULTS[name])
        _, tensor = self._trajectory.lend(RESULTS[name])
        return DeviceArray(self._kept[name], self._device.ordinal, tensor.shape, tensor.dtype)

    @property
    def _doing(self) -> str:
        return f"sampling {len(self._batch.labels)} images"
