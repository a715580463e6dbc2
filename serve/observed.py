"""A backend that says when pictures are begun and with how many others."""

import time
from collections.abc import Callable, Sequence

from fdcn.bundle import Manifest, StepGroup
from fdcn.runtime.backends.base import Backend, Batch, HasStepGroups, Sampled, Sampler, Show, unseen
from fdcn.runtime.sample import sampler_of


class Observed:
    """Another backend, and what its sampler is doing.

    `began` and `batch` are for the progress of requests, which is called in the sampling thread while they are so.
    """

    def __init__(self, backend: Backend, manifest: Manifest) -> None:
        self.name, self.conditioning_bytes = backend.name, backend.conditioning_bytes
        self.condition, self.denoise, self.decode = backend.condition, backend.denoise, backend.decode
        self.step_groups: Sequence[StepGroup] = backend.step_groups if isinstance(backend, HasStepGroups) else ()
        self._backend, self._manifest = backend, manifest
        self.began = 0.0
        """By the monotonic clock: of the batch that is being sampled."""
        self.batch = 0
        """Its pictures."""

    def sampler(self) -> Sampler:
        """The backend's own sampler, observed."""
        return _ObservedSampler(self, sampler_of(self._backend, self._manifest))


class _ObservedSampler:
    """A sampler that notes when it begins."""

    def __init__(self, observed: Observed, sampler: Sampler) -> None:
        self._observed, self._sampler = observed, sampler
        self.together, self.warm_up, self.close = sampler.together, sampler.warm_up, sampler.close

    def sample(self, batch: Batch, done: Callable[[int], None], show: Show = unseen) -> Sampled:
        self._observed.began, self._observed.batch = time.monotonic(), len(batch.labels)
        return self._sampler.sample(batch, done, show)
