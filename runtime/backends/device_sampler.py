"""The sampler on a GPU: the first batch of a shape row by row, and from then on one CUDA graph a batch."""

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.backends.base import Batch, Sampled, Show, unseen
from fdcn.runtime.backends.device import DeviceOutOfMemory
from fdcn.runtime.backends.device_arena import DeviceArena
from fdcn.runtime.backends.device_arrays import borrowed
from fdcn.runtime.backends.device_graphs import GraphCache
from fdcn.runtime.backends.device_run import NotFinite, Run
from fdcn.runtime.backends.device_shape import Shape
from fdcn.runtime.backends.device_trajectory import Trajectory
from fdcn.runtime.backends.trt_engine import TrtEngine
from fdcn.runtime.kernels import SamplerKernels
from fdcn.sizes import format_size

SHARE = 8
"""Prepared shapes keep at most this part of the device's memory."""
logger = logging.getLogger("fdcn")


class DeviceSampler:
    """A `base.Sampler` for an engine. Several threads may use one: the device does their work in turn."""

    def __init__(self, engine: TrtEngine) -> None:
        self._engine, self._device = engine, engine.device
        with engine.turn(), contextlib.ExitStack() as closing:
            self._kernels = SamplerKernels()
            self._arena = DeviceArena(engine, self._kernels)
            closing.callback(self._arena.close)
            self._recording = self._device.new_stream()
            closing.callback(self._device.free_stream, self._recording)
            budget = self._device.total_memory() // SHARE
            self._shapes: GraphCache[Trajectory] = GraphCache(budget, lambda one: one.bytes, self._close_one)
            closing.callback(self._shapes.drop_idle)
            self._device.spare.append(self._shapes.drop_idle)
            closing.callback(self._device.spare.remove, self._shapes.drop_idle)
            self._behind = ThreadPoolExecutor(1, "fdcn-capture")
            self._closing = closing.pop_all()

    def together(self, batch: Batch) -> int:
        """The most images of a batch's plan and size that a profile of the engine takes at a time."""
        shape = Shape.of(batch)
        sizes = sorted({profile.max.batch // shape.passes for profile in self._engine.profiles["denoiser"]})
        for images in reversed(sizes):
            if images and self._fits(dataclasses.replace(shape, images=images)):
                return images
        raise self._outside(shape)

    def sample(self, batch: Batch, done: Callable[[int], None], show: Show = unseen) -> Sampled:
        """Sample a batch; see `base.Sampler`.

        Raises FdcnError, with the command that helps, for a batch that no profile of the engine takes, and where the
        device's memory does not suffice, for noise that lies elsewhere, and for a result that is not finite.
        """
        sampled, prepared = self._sample(batch, done, show)
        if not prepared:
            self._behind.submit(self._capture, Shape.of(batch))
        return sampled

    def warm_up(self, batch: Batch) -> None:
        """Sample a batch once and record its CUDA graph."""
        plain = dataclasses.replace(batch, noise=None, preview_every=0, on_device=False, stream=None)
        with contextlib.suppress(NotFinite):
            self._sample(plain, lambda r: None, unseen)
        self._capture(Shape.of(plain))

    def close(self) -> None:
        """Give back what it holds; nothing is running. Closing twice is fine."""
        self._behind.shutdown(cancel_futures=True)
        with self._engine.turn():
            self._closing.close()

    def _sample(self, batch: Batch, done: Callable[[int], None], show: Show) -> tuple[Sampled, bool]:
        """The result, and whether there is nothing to record for the next time."""
        shape = Shape.of(batch)
        if not self._fits(shape):
            raise self._outside(shape)
        with self._shapes.held(shape, lambda: self._make(shape)) as trajectory, self._noise(batch) as noise:
            run = Run(self._engine, self._arena, trajectory, batch, noise)
            try:
                return run.sampled(done, show), trajectory.captured or trajectory.refused or not run.fits
            except BaseException:
                # Nobody may take this memory before the device is done with it. What has failed there fails again.
                with contextlib.suppress(RuntimeError), self._device.current():
                    self._device.synchronize("giving up a batch")
                raise

    def _make(self, shape: Shape) -> Trajectory:
        try:
            with self._engine.turn():
                return Trajectory(self._engine, self._kernels, self._arena, shape)
        except DeviceOutOfMemory as error:
            raise DeviceOutOfMemory(error.what, error.needed, error.free, _smaller(shape, error)) from error

    def _capture(self, shape: Shape) -> None:
        """Record a shape's work, if it is still kept; where that is refused, say so and go on row by row."""
        with self._shapes.held_if_there(shape) as trajectory, self._device.current():
            if trajectory is None or trajectory.captured or trajectory.refused:
                return
            try:
                trajectory.capture(self._recording)
            except (FdcnError, RuntimeError) as error:
                trajectory.refused = True
                size = format_size(shape.size)
                logger.warning("%s", say("sampling.step_by_step", images=shape.images, size=size, reason=error))

    @contextlib.contextmanager
    def _noise(self, batch: Batch) -> Iterator[int | None]:
        """The address of initial latents that lie on the device already; None for others."""
        if batch.noise is None or isinstance(batch.noise, np.ndarray):
            yield None
            return
        wanted = (len(batch.labels), *batch.latent)
        with borrowed("noise", batch.noise, wanted, self._device.ordinal, self._device.stream) as address:
            yield address

    def _fits(self, shape: Shape) -> bool:
        every = [self._engine.fit(graph, passes * shape.images, shape.latent[1:]) for graph, passes in set(shape.rows)]
        return all(found is not None and len(found[1]) == 1 for found in every)

    def _outside(self, shape: Shape) -> FdcnError:
        rows = shape.passes * shape.images
        return self._engine.outside("denoiser", self._engine.extent(rows, shape.latent[1:]))

    def _close_one(self, trajectory: Trajectory) -> None:
        with self._device.current():
            trajectory.close()


def _smaller(shape: Shape, error: DeviceOutOfMemory) -> str:
    """Which batch or size would fit."""
    images = error.free * shape.images // error.needed
    if images >= shape.images:
        return say("device.free_some")
    if images:
        return say("device.fewer_fit", images=images)
    part = math.sqrt(error.free * shape.images / error.needed)
    width, height = (max(1, int(side * part)) for side in shape.size)
    return say("device.smaller_fits", size=format_size((width, height)))
