"""The interfaces between the pipeline, the sampler and whatever runs the network."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fdcn.bundle import StepGroup
from fdcn.runtime.plan import SamplerPlan


class Backend(Protocol):
    """The graphs of one bundle, ready to run. Arrays are float32 unless a line says otherwise."""

    name: str
    """For people: which library runs which artifact."""
    conditioning_bytes: int
    """Size of one row of the conditioner's outputs."""

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t [S], label int64 [B] → modulation [S·B, blocks, 6, h] and final [S·B, 2, h], row s·B + b."""
        ...

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        """latent [B, C, H, W] and its conditioning, s_max [B, blocks, 2] → velocity [B, C, H, W]."""
        ...

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        """latent [B, C, H, W] → pixels [B, 3 or 1, f·H, f·W], about [-1, 1]; None where the bundle has no decoder."""
        ...


class OpenBackend(Backend, Protocol):
    """A backend that whoever opened it closes."""

    def close(self) -> None:
        """Give back what it holds; nothing is running then. Closing twice is fine."""
        ...


@dataclasses.dataclass(frozen=True)
class Batch:
    """Images sampled together: one plan, one size."""

    plan: SamplerPlan
    labels: tuple[int, ...]
    """A class an image."""
    seeds: tuple[int, ...]
    """One an image, in [0, 2⁶⁴)."""
    null: int
    """The class of unconditional passes."""
    latent: tuple[int, int, int]
    """C, h, w."""
    size: tuple[int, int]
    """Pixels, (width, height); the picture is cropped to it."""
    noise: Any | None = None
    """The initial latent, float32 [B, C, h, w]: a NumPy array, or an object with `__dlpack__` on the sampler's device;
    None draws it from the seeds."""
    preview_every: int = 0
    """Show the predicted final picture every so many evaluations, 0 for never."""
    on_device: bool = False
    """Results stay on the device (TensorRT alone)."""
    stream: int | None = None
    """A caller's CUDA stream to work on (TensorRT alone)."""


@dataclasses.dataclass(frozen=True)
class Sampled:
    """What became of a batch: NumPy arrays, or with `on_device` objects with `__dlpack__`."""

    latents: Any
    """float32 [B, C, h, w]."""
    pixels: Any
    """uint8 [B, H, W, C], C 1 or 3."""


Show = Callable[[int, np.ndarray], None]
"""Told an evaluation's number, from 1, and the final pictures that it points to: uint8 [B, H, W, C] on the host."""


def unseen(r: int, pixels: np.ndarray) -> None:
    """Show a preview to nobody."""


class Sampler(Protocol):
    """Makes the pictures of a batch. Several threads may call one; it guards itself what needs it."""

    def together(self, batch: Batch) -> int:
        """How many images like those of `batch` (its plan, latent and size) are best sampled at a time, from 1.

        Asked before each batch is formed. Raises FdcnError where it cannot sample even one, for want of memory or
        because of what the batch asks for.
        """
        ...

    def sample(self, batch: Batch, done: Callable[[int], None], show: Show = unseen) -> Sampled:
        """Sample a batch; `done(r)` after evaluation r, from 1, and before it `show` for every `preview_every`-th.

        A sampler that makes the whole picture in one launch calls `done` once, with the number of rows. What either
        raises ends the sampling and leaves the sampler usable. Raises FdcnError for a result that is not finite.
        """
        ...

    def warm_up(self, batch: Batch) -> None:
        """Do ahead what the first batch of a shape would wait for; its seeds, noise and preview do not matter."""
        ...

    def close(self) -> None:
        """Give back what it holds; nothing is running then. Closing twice is fine."""
        ...


@runtime_checkable
class HasSampler(Protocol):
    """A backend with a sampler of its own; the others get `sample.HostSampler`."""

    def sampler(self) -> Sampler:
        """A new sampler, which whoever asks for it closes."""
        ...


@runtime_checkable
class HasStepGroups(Protocol):
    """A backend that may have other graphs than "denoiser" for some steps; every other one has that for all."""

    step_groups: Sequence[StepGroup]
    """By ascending `until`; empty for one graph."""
