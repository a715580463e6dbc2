"""A loaded bundle that makes pictures: `pipe = fdcn.load("fdcn-model"); pipe(labels=["Sneaker"]).save("out.png")`."""

import contextlib
import functools
import math
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from fdcn import DEFAULT_BUNDLE
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime import job, request
from fdcn.runtime.backends import open_backend
from fdcn.runtime.backends.base import Backend, Batch, HasStepGroups, Sampler
from fdcn.runtime.gate import Gate
from fdcn.runtime.images import Images
from fdcn.runtime.job import Job, Preview, Progress
from fdcn.runtime.plan import SamplerPlan, sampler_plan
from fdcn.runtime.request import Request, label_names
from fdcn.runtime.s_max import adjusted_blocks
from fdcn.runtime.sample import sampler_of
from fdcn.runtime.worker import Check, Worker


def load(
    path: str | Path = DEFAULT_BUNDLE,
    backend: str = "auto",
    *,
    device: int | None = None,
    warmup: Sequence[tuple[int, int, int]] = (),
    allow_bundled_code: bool = False,
    max_batch: int | None = None,
    max_delay: float = 0.0,
) -> "Pipeline":
    """Open a bundle for sampling on "auto", "onnxruntime" or "tensorrt".

    `device` is the number of the GPU, the first by default. `warmup` lists (width, height, images) that are to be fast
    from the first time on, with the bundle's solver, steps and guidance. `allow_bundled_code` lets an engine's plugin
    library be loaded from the bundle itself, where none is installed. `max_batch` and `max_delay` are for `submit`: the
    most images of several requests in a batch, by default as many as suit the machine, and the seconds that a request
    may wait for others to fill it.
    Raises FdcnError where that cannot be done.
    """
    pipe = Pipeline(
        Bundle.open(path),
        backend,
        device=device,
        allow_bundled_code=allow_bundled_code,
        max_batch=max_batch,
        max_delay=max_delay,
    )
    try:
        pipe.warm_up(warmup)
    except BaseException:
        pipe.close()
        raise
    return pipe


class Pipeline:
    """The sampler around a bundle's network, on a backend that is named, or already open and then not closed here.

    Several threads may call one. `with` closes it at the end.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str | Backend = "auto",
        *,
        device: int | None = None,
        allow_bundled_code: bool = False,
        max_batch: int | None = None,
        max_delay: float = 0.0,
    ) -> None:
        """See `load`."""
        if max_batch is not None and max_batch < 1:
            raise FdcnError(say("pipeline.max_batch", most=max_batch))
        if not 0 <= max_delay < math.inf:
            raise FdcnError(say("pipeline.max_delay", delay=max_delay))
        self.bundle = bundle
        with contextlib.ExitStack() as closing:
            self.backend: Backend
            if isinstance(backend, str):
                self.backend = opened = open_backend(bundle, backend, allow_bundled_code, device)
                closing.callback(opened.close)
            else:
                self.backend = backend
            self._sampler = sampler_of(self.backend, bundle.manifest)
            closing.callback(self._sampler.close)
            self._gate = Gate("the pipeline", closing.pop_all().close)
        # It knows the sampler, not the pipeline: so this can be collected, and the thread ends with its work.
        self._worker: Worker[Job, Images] = Worker(
            functools.partial(_together, self._gate, self._sampler, max_batch),
            functools.partial(_sample, self._gate, self._sampler),
            max_delay,
        )
        weakref.finalize(self, self._worker.finish)

    def __call__(
        self,
        labels: Sequence[str | int] | None = None,
        *,
        count: int = 1,
        size: tuple[int, int] | None = None,
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        solver: str | None = None,
        steps: int | None = None,
        last_step: float | None = None,
        guidance: float | None = None,
        guidance_channels: Literal["all", "3"] = "all",
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        s_max_adjust: bool | None = None,
        noise: Any | None = None,
        preview_every: int = 0,
        preview: Preview = lambda done, first, pixels: None,
        progress: Progress = lambda done, total: None,
        on_device: bool = False,
        stream: int | None = None,
    ) -> Images:
        """Sample pictures.

        Args:
            labels: class names or indices, each sampled `count` times in order; every class by default where there
                are at most ten, else class 0.
            size: (width, height) in pixels, any; the training size by default.
            seed, seeds: image i has seed + i, or its own of `seeds`; all modulo 2⁶⁴.
            solver, steps, last_step: see `solvers.SOLVERS`; `last_step` in (0, 1) is for Euler and Heun.
            guidance, guidance_channels, guidance_interval: see `plan.Guidance`; 1 is none.
            s_max_adjust: lengthen taps for sizes beyond training; the bundle's default when None.
            noise: initial latent [images, C, h, w]; it sets the size and the number of images. A NumPy array or any
                with `__dlpack__`, for TensorRT also float32 on its GPU.
            preview_every: keep the predicted final picture every so many evaluations, 0 for never.
            preview: shown each of those as it is made; see `job.Preview`. What it raises ends the run.
            progress: told after each evaluation, or at the end of pictures that a GPU makes in one piece. What it
                raises ends the run.
            on_device: leave pixels and latents on the GPU, as objects with `__dlpack__`; TensorRT alone.
            stream: the CUDA stream to work on, as a number; TensorRT alone.

        Raises FdcnError for an impossible request, one that needs more memory than is free, or a result that
        is not finite; and where the pipeline was closed.
        """
        with self._gate.inside():
            wanted = self._job(
                labels,
                count=count,
                size=size,
                seed=seed,
                seeds=seeds,
                solver=solver,
                steps=steps,
                last_step=last_step,
                guidance=guidance,
                guidance_channels=guidance_channels,
                guidance_interval=guidance_interval,
                s_max_adjust=s_max_adjust,
                noise=noise,
                preview_every=preview_every,
                preview=preview,
                progress=progress,
                on_device=on_device,
                stream=stream,
            )
            return _sampled(job.sample(self._sampler, [wanted]))

    def submit(self, labels: Sequence[str | int] | None = None, **options: Any) -> "Future[Images]":
        """Sample pictures in another thread; the arguments are those of a call.

        What waits is sampled together where size, solver, steps, guidance, S_max rule and `preview_every` are the same.
        `progress` and `preview` are called in that thread; progress begins again where the requests of a batch that
        failed are tried one by one. A future can be cancelled until its pictures are begun. Raises FdcnError for an
        impossible request at once; what goes wrong later is the future's exception.
        """
        with self._gate.inside():
            wanted = self._job(labels, **options)
            job.split(self._sampler, wanted.batch)
        return self._worker.submit(wanted)

    def warm_up(self, shapes: Sequence[tuple[int, int, int]]) -> None:
        """Do ahead what the first run of each (width, height, images) would wait for. Raises as a call does."""
        for shape in shapes:
            if len(shape) != 3 or any(number < 1 for number in shape):
                raise FdcnError(say("request.warm_up", shape=shape))
            width, height, images = shape
            with self._gate.inside():
                wanted = self._job([0], count=images, size=(width, height))
                parts = job.split(self._sampler, wanted.batch)
                for part in {len(part.labels): part for part in parts}.values():
                    self._sampler.warm_up(part)

    def close(self) -> None:
        """Finish what is running and give back memory; what waits and later calls get FdcnError. Once is enough."""
        self._worker.close(self._gate.error)
        self._gate.close()
        self._worker.join()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def plan(self, wanted: Request) -> SamplerPlan:
        """The sampler's table for a request."""
        m = self.bundle.manifest
        stretch = (1.0, 1.0)
        if wanted.s_max_adjust:
            unit = m.model.patch * m.pixel_factor
            height, width = (side // m.model.patch for side in wanted.latent)
            stretch = (width / (m.train_size[0] / unit), height / (m.train_size[1] / unit))
        return sampler_plan(
            wanted.solver,
            wanted.steps,
            blocks=m.model.blocks,
            last_step=wanted.last_step,
            guidance=wanted.guidance,
            reach=m.sampling.reach,
            stretch=stretch,
            step_groups=self.backend.step_groups if isinstance(self.backend, HasStepGroups) else (),
        )

    def notes(self, wanted: Request) -> list[str]:
        """What a user should know about a request that was granted."""
        m = self.bundle.manifest
        larger = any(asked > trained for asked, trained in zip(wanted.size, m.train_size, strict=True))
        if wanted.s_max_adjust and larger and not adjusted_blocks(m.model.blocks):
            return [say("request.s_max_note", blocks=m.model.blocks)]
        return []

    def _job(
        self,
        labels: Sequence[str | int] | None,
        *,
        preview_every: int = 0,
        preview: Preview = lambda done, first, pixels: None,
        progress: Progress = lambda done, total: None,
        on_device: bool = False,
        stream: int | None = None,
        **options: Any,
    ) -> Job:
        """A request, checked, and what it is sampled from."""
        manifest = self.bundle.manifest
        wanted = request.resolve(manifest, labels=labels, **options)
        if preview_every < 0:
            raise FdcnError(say("request.preview_every", every=preview_every))
        if not isinstance(stream, int | None):
            raise FdcnError(say("request.stream", stream=repr(stream)))
        batch = Batch(
            plan=self.plan(wanted),
            labels=wanted.labels,
            seeds=wanted.seeds,
            null=manifest.model.classes,
            latent=(manifest.model.channels, *wanted.latent),
            size=wanted.size,
            noise=wanted.noise,
            preview_every=preview_every,
            on_device=on_device,
            stream=stream,
        )
        return Job(wanted, batch, label_names(manifest, wanted.labels), progress, preview)


def _together(gate: Gate, sampler: Sampler, most: int | None, job: Job) -> int:
    with gate.inside():
        together = sampler.together(job.batch)
    return together if most is None else min(together, most)


def _sample(gate: Gate, sampler: Sampler, jobs: Sequence[Job], check: Check) -> list[Images | BaseException]:
    with gate.inside():
        try:
            return job.sample(sampler, jobs, check)
        except FdcnError:
            if len(jobs) == 1:
                raise
        # One of them may be at fault, or all together too large: the others need not pay for it.
        return [_alone(sampler, one, check) for one in jobs]


def _alone(sampler: Sampler, wanted: Job, check: Check) -> Images | BaseException:
    try:
        (result,) = job.sample(sampler, [wanted], check)
    except FdcnError as error:
        return error
    return result


def _sampled(results: Sequence[Images | BaseException]) -> Images:
    """The result of a job that was alone; raises what its progress did."""
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result
