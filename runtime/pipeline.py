"""A loaded bundle that makes pictures: `pipe = fdcn.load("fdcn-model"); pipe(labels=["Sneaker"]).save("out.png")`."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fdcn import DEFAULT_BUNDLE
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime import memory, request
from fdcn.runtime.backends import open_backend
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.images import Images, latent_preview, to_pixels
from fdcn.runtime.plan import SamplerPlan, sampler_plan
from fdcn.runtime.request import Request, label_name
from fdcn.runtime.s_max import adjusted_blocks
from fdcn.runtime.sample import Step, initial_noise, trajectory
from fdcn.sizes import format_size

TOKENS_AT_ONCE = 4096
"""Images are sampled together until an evaluation has so many tokens: more gains nothing on a CPU."""
Progress = Callable[[int, int], None]
"""Told how many evaluations of the network are done, and how many there are."""


def load(path: str | Path = DEFAULT_BUNDLE, backend: str = "auto", *, allow_bundled_code: bool = False) -> "Pipeline":
    """Open a bundle for sampling on "auto", "onnxruntime" or "tensorrt".

    `allow_bundled_code` lets an engine's plugin library be loaded from the bundle itself, where none is installed.
    Raises FdcnError where that cannot be done.
    """
    bundle = Bundle.open(path)
    return Pipeline(bundle, open_backend(bundle, backend, allow_bundled_code))


class Pipeline:
    """The sampler around a bundle's network, on a backend that is named or already open."""

    def __init__(self, bundle: Bundle, backend: str | Backend = "auto") -> None:
        self.bundle = bundle
        self.backend = open_backend(bundle, backend) if isinstance(backend, str) else backend

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
        noise: np.ndarray | None = None,
        preview_every: int = 0,
        progress: Progress = lambda done, total: None,
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
            noise: initial latent [images, C, h, w]; it sets the size and the number of images.
            preview_every: keep the predicted final picture every so many evaluations, 0 for never.
            progress: told after each evaluation.

        Raises FdcnError for an impossible request, one that needs more memory than is free, or a result that
        is not finite.
        """
        wanted = request.resolve(
            self.bundle.manifest,
            labels=labels,
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
        )
        if preview_every < 0:
            raise FdcnError(f"preview_every counts evaluations from 1, 0 is never; not {preview_every}")
        plan = self.plan(wanted)
        batches = self._batches(wanted, plan)
        rows, total = len(plan.rows), len(plan.rows) * len(batches)
        latents, pixels, previews = [], [], []
        for b, images in enumerate(batches):
            report = functools.partial(_report, progress, b * rows, total)
            latent, frames = self._sample(wanted, plan, images, preview_every, report)
            latents.append(latent)
            pixels.append(self._picture(latent, wanted))
            previews.append(frames)
        return Images(
            pixels=np.concatenate(pixels),
            latents=np.concatenate(latents),
            previews=[np.concatenate(frame) for frame in zip(*previews, strict=True)],
            request=wanted,
            names=[label_name(self.bundle.manifest, label) for label in wanted.labels],
        )

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
        )

    def notes(self, wanted: Request) -> list[str]:
        """What a user should know about a request that was granted."""
        m = self.bundle.manifest
        larger = any(asked > trained for asked, trained in zip(wanted.size, m.train_size, strict=True))
        if wanted.s_max_adjust and larger and not adjusted_blocks(m.model.blocks):
            return [
                f"the S_max adjustment changes nothing: a model of {m.model.blocks} blocks has none that it touches"
            ]
        return []

    def _sample(
        self, wanted: Request, plan: SamplerPlan, images: slice, preview_every: int, done: Callable[[int], None]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """One batch's final latent and the predictions along the way; `done` is told each evaluation, from 1."""
        frames: list[np.ndarray] = []
        latent = np.empty(0)
        with np.errstate(over="ignore", invalid="ignore"):  # the result is looked at instead
            for r, step in enumerate(self._trajectory(wanted, plan, images), start=1):
                latent = step.point
                if preview_every and r % preview_every == 0 and r < len(plan.rows):
                    frames.append(self._picture(step.predicted, wanted))
                done(r)
        if not np.isfinite(latent).all():
            raise FdcnError(
                f"sampling left float32's range (guidance {wanted.guidance.scale:g}); lower it or take more steps"
            )
        return latent, frames

    def _trajectory(self, wanted: Request, plan: SamplerPlan, images: slice) -> Iterator[Step]:
        model, seeds = self.bundle.manifest.model, wanted.seeds[images]
        if wanted.noise is not None:
            noise = wanted.noise[images]
        else:
            noise = initial_noise(seeds, (model.channels, *wanted.latent))
        return trajectory(self.backend, plan, noise, wanted.labels[images], seeds, null=model.classes)

    def _batches(self, wanted: Request, plan: SamplerPlan) -> list[slice]:
        """Which images are sampled together, as far as memory goes. Raises FdcnError where one alone is too large."""
        m = self.bundle.manifest
        tokens = math.prod(wanted.latent) // m.model.patch**2 * max(len(row.passes) for row in plan.rows)
        elements = math.prod(wanted.latent)
        decoding = elements * m.pixel_factor**2 * m.memory.pixel + elements**2 * m.memory.latent_pair
        need, free = max(tokens * m.memory.token, decoding), memory.available_bytes()
        if free is not None and need > free:
            raise FdcnError(
                f"{format_size(wanted.size)} needs about {memory.format_bytes(need)} of memory, "
                f"{memory.format_bytes(free)} are free; choose a smaller size"
            )
        together = max(1, min(TOKENS_AT_ONCE // tokens, (free or need) // need))
        images = len(wanted.labels)
        return [slice(i, min(i + together, images)) for i in range(0, images, together)]

    def _picture(self, latent: np.ndarray, wanted: Request) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            picture = self.backend.decode(latent)
            if picture is None:
                picture = latent_preview(latent, self.bundle.manifest.pixel_factor)
            return to_pixels(picture, wanted.size)


def _report(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)
