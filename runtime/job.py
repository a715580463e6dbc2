"""One request on its way to pictures, and the batches that make it; others of its kind may share them."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.backends.base import Batch, Sampler
from fdcn.runtime.images import Images
from fdcn.runtime.request import Request
from fdcn.sizes import format_size

Progress = Callable[[int, int], None]
"""Told how many evaluations of the network are done, and how many there are."""
Preview = Callable[[int, int, np.ndarray], None]
"""Told how many evaluations are done, the index of the first picture shown, and the final pictures that it and those
after it are heading for: uint8 [B, H, W, C]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A request and all its images as one batch, which need not be sampled at a time."""

    request: Request
    batch: Batch
    names: list[str]
    progress: Progress
    preview: Preview

    @property
    def images(self) -> int:
        """How many pictures it asks for."""
        return len(self.batch.labels)

    @property
    def kind(self) -> Hashable | None:
        """What the plan and the size follow from; None for a request whose arrays or device are its own."""
        b, r = self.batch, self.request
        if b.noise is not None or b.on_device or b.stream is not None:
            return None
        return r.size, r.solver, r.steps, r.last_step, r.guidance, r.s_max_adjust, b.preview_every


class _Listeners:
    """Who is told of jobs that are sampled together: one that raises fails alone, and all of them end the run."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        starts = itertools.accumulate((job.images for job in jobs), initial=0)
        self.images = [slice(a, b) for a, b in itertools.pairwise(starts)]
        """Of each job, its part of the whole batch."""
        self.failures: dict[int, BaseException] = {}
        self._frames: list[dict[int, list[np.ndarray]]] = [{} for _ in jobs]

    def progress(self, done: int, total: int) -> None:
        """Tell all."""
        for i, job in enumerate(self._jobs):
            self._tell(i, functools.partial(job.progress, done, total))

    def show(self, done: int, r: int, first: int, pixels: np.ndarray) -> None:
        """Show each its own of the pictures from `first` on, at evaluation `r` of theirs, and keep them."""
        for i, (job, own) in enumerate(zip(self._jobs, self.images, strict=True)):
            start, end = max(own.start, first), min(own.stop, first + len(pixels))
            if start < end:
                # Copies, so that one request's pictures do not keep the others' alive.
                shown = pixels if len(self._jobs) == 1 else pixels[start - first : end - first].copy()
                self._frames[i].setdefault(r, []).append(shown)
                self._tell(i, functools.partial(job.preview, done, start - own.start, shown))

    def previews(self, i: int) -> list[np.ndarray]:
        """What was shown to a job, by evaluation: all of its pictures each time."""
        return [_concatenated(parts) for parts in self._frames[i].values()]

    def _tell(self, i: int, what: Callable[[], None]) -> None:
        if i in self.failures:
            return
        try:
            what()
        except BaseException as error:  # also an interrupt: it ends this one
            self.failures[i] = error
            if len(self.failures) == len(self._jobs):
                raise


def sample(
    sampler: Sampler, jobs: Sequence[Job], check: Callable[[], None] = lambda: None
) -> list[Images | BaseException]:
    """Sample jobs of one kind: the pictures of each, or what its progress or preview raised.

    `check` is called after each evaluation too, and may raise. Raises what concerns all of them.
    """
    whole, listeners = _joined([job.batch for job in jobs]), _Listeners(jobs)
    parts, rows = split(sampler, whole), len(whole.plan.rows)
    made, first = [], 0
    try:
        for b, part in enumerate(parts):

            def done(r: int, before: int = b * rows) -> None:
                check()
                listeners.progress(before + r, rows * len(parts))

            def show(r: int, pixels: np.ndarray, before: int = b * rows, first: int = first) -> None:
                listeners.show(before + r, r, first, pixels)

            made.append(sampler.sample(part, done, show))
            first += len(part.labels)
    except BaseException:
        if len(listeners.failures) < len(jobs):
            raise
        return [listeners.failures[i] for i in range(len(jobs))]
    pixels = _concatenated([part.pixels for part in made])
    latents = _concatenated([part.latents for part in made])
    if len(jobs) == 1 and not listeners.failures:
        return [Images(pixels, latents, listeners.previews(0), jobs[0].request, jobs[0].names)]
    results: list[Images | BaseException] = []
    for i, (job, own) in enumerate(zip(jobs, listeners.images, strict=True)):
        if i in listeners.failures:
            results.append(listeners.failures[i])
        else:  # copies, as above
            own_pixels, own_latents = pixels[own].copy(), latents[own].copy()
            results.append(Images(own_pixels, own_latents, listeners.previews(i), job.request, job.names))
    return results


def split(sampler: Sampler, batch: Batch) -> list[Batch]:
    """A batch in parts that are sampled one after the other.

    Raises FdcnError where the sampler takes none of it, or where results that stay on the device would be in parts.
    """
    together, images = sampler.together(batch), len(batch.labels)
    if images <= together:
        return [batch]
    if batch.on_device:
        raise FdcnError(say("sampling.one_piece", images=images, size=format_size(batch.size), together=together))
    return [_part(batch, slice(i, i + together)) for i in range(0, images, together)]


def _part(batch: Batch, images: slice) -> Batch:
    noise = None if batch.noise is None else batch.noise[images]
    return dataclasses.replace(batch, labels=batch.labels[images], seeds=batch.seeds[images], noise=noise)


def _joined(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    labels, seeds = (sum((getattr(batch, name) for batch in batches), ()) for name in ("labels", "seeds"))
    return dataclasses.replace(batches[0], labels=labels, seeds=seeds)


def _concatenated(arrays: Sequence[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
