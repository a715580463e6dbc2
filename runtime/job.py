"""One request on its way to pictures, and the batches that make it; others of its kind may share them."""

import dataclasses
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


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A request and all its images as one batch, which need not be sampled at a time."""

    request: Request
    batch: Batch
    names: list[str]
    progress: Progress

    @property
    def images(self) -> int:
        """How many pictures it asks for."""
        return len(self.batch.labels)

    @property
    def kind(self) -> Hashable | None:
        """What the plan and the size follow from; None for a request whose arrays or device are its own."""
        b, r = self.batch, self.request
        if b.noise is not None or b.preview_every or b.on_device or b.stream is not None:
            return None
        return r.size, r.solver, r.steps, r.last_step, r.guidance, r.s_max_adjust


class _Listeners:
    """The progress of jobs that are sampled together: one that raises fails alone, and all of them end the run."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self.failures: dict[int, BaseException] = {}

    def __call__(self, done: int, total: int) -> None:
        for i, job in enumerate(self._jobs):
            if i not in self.failures:
                try:
                    job.progress(done, total)
                except BaseException as error:  # also an interrupt: it ends this one
                    self.failures[i] = error
                    if len(self.failures) == len(self._jobs):
                        raise


def sample(
    sampler: Sampler, jobs: Sequence[Job], check: Callable[[], None] = lambda: None
) -> list[Images | BaseException]:
    """Sample jobs of one kind: the pictures of each, or what its progress raised.

    `check` is called after each evaluation too, and may raise. Raises what concerns all of them.
    """
    whole, listeners = _joined([job.batch for job in jobs]), _Listeners(jobs)
    parts, rows = split(sampler, whole), len(whole.plan.rows)
    made = []
    try:
        for b, part in enumerate(parts):

            def done(r: int, before: int = b * rows) -> None:
                check()
                listeners(before + r, rows * len(parts))

            made.append(sampler.sample(part, done))
    except BaseException:
        if len(listeners.failures) < len(jobs):
            raise
        return [listeners.failures[i] for i in range(len(jobs))]
    pixels = _concatenated([part.pixels for part in made])
    latents = _concatenated([part.latents for part in made])
    previews = [np.concatenate(frame) for frame in zip(*(part.previews for part in made), strict=True)]
    results: list[Images | BaseException] = []
    start = 0
    for i, job in enumerate(jobs):
        own = slice(start, start := start + job.images)
        if i in listeners.failures:
            results.append(listeners.failures[i])
        elif len(jobs) == 1:
            results.append(Images(pixels, latents, previews, job.request, job.names))
        else:  # copies, so that one request's pictures do not keep the others' alive
            results.append(Images(pixels[own].copy(), latents[own].copy(), [], job.request, job.names))
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
