"""Which trajectories of a bundle's sampler are measured: every class and every size in turn, from one seed."""

import dataclasses
import math
from collections.abc import Sequence

from fdcn.bundle import Bundle, Manifest
from fdcn.errors import FdcnError
from fdcn.runtime import request
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.pipeline import Pipeline
from fdcn.runtime.plan import SamplerPlan
from fdcn.runtime.request import Request
from fdcn.sizes import format_size, latent_size

TOKENS_AT_ONCE = 1024
"""Pictures are sampled together until an evaluation has so many tokens. What is read stays in memory for that time,
and a CPU gains nothing by more."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which trajectories are measured, complete."""

    samples: int
    sizes: tuple[tuple[int, int], ...]
    """(width, height) in pixels; picture i has the next one."""
    solver: str
    steps: int
    guidance: float
    seed: int
    """Picture i has seed + i."""

    def texts(self) -> dict[str, str]:
        """For people, and to compare."""
        values = dataclasses.asdict(self) | {"sizes": " ".join(map(format_size, self.sizes))}
        return {name: str(value) for name, value in values.items()}


def resolve(
    manifest: Manifest,
    samples: int = 64,
    sizes: Sequence[tuple[int, int]] = (),
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> Settings:
    """Complete settings with the bundle's defaults; sizes are the training size, twice its width and twice its height.

    Raises FdcnError for impossible ones.
    """
    chosen = tuple(dict.fromkeys(sizes)) or default_sizes(manifest)
    if samples < len(chosen):
        raise FdcnError(
            f"--samples {samples} cannot cover {len(chosen)} sizes; take {len(chosen)} or more, or fewer sizes"
        )
    asked = [
        request.resolve(manifest, labels=[0], size=size, solver=solver, steps=steps, guidance=guidance, seed=seed)
        for size in chosen
    ]
    first = asked[0]
    return Settings(samples, chosen, first.solver, first.steps, first.guidance.scale, first.seeds[0])


def default_sizes(manifest: Manifest) -> tuple[tuple[int, int], ...]:
    """The training size, twice its width and twice its height; or the size that the bundle is fixed to."""
    if manifest.fixed_size:
        return ((manifest.fixed_size[0], manifest.fixed_size[1]),)
    width, height = manifest.train_size
    return (width, height), (2 * width, height), (width, 2 * height)


def label_of(picture: int, samples: int, classes: int) -> int:
    """Every class in turn; spread evenly over them where there are fewer pictures than classes."""
    return picture % classes if samples >= classes else picture * classes // samples


def size_of(picture: int, classes: int, sizes: int) -> int:
    """The index of a picture's size: all in turn, and another turn with every round of the classes.

    Without that the pictures of a class would all have one size where one number divides the other.
    """
    return (picture + picture // math.lcm(classes, sizes)) % sizes


@dataclasses.dataclass(frozen=True)
class Part:
    """Pictures of one size that are sampled together."""

    pictures: tuple[int, ...]
    """Their numbers among all."""
    request: Request


def parts(manifest: Manifest, settings: Settings) -> list[Part]:
    """What is sampled together, in order: each of one size, up to `TOKENS_AT_ONCE`."""
    made = []
    classes, sizes = manifest.model.classes, len(settings.sizes)
    for index, size in enumerate(settings.sizes):
        pictures = [i for i in range(settings.samples) if size_of(i, classes, sizes) == index]
        at_once = max(1, TOKENS_AT_ONCE // _tokens(manifest, settings, size))
        for start in range(0, len(pictures), at_once):
            together = tuple(pictures[start : start + at_once])
            wanted = request.resolve(
                manifest,
                labels=[label_of(i, settings.samples, classes) for i in together],
                seeds=[settings.seed + i for i in together],
                size=size,
                solver=settings.solver,
                steps=settings.steps,
                guidance=settings.guidance,
            )
            made.append(Part(together, wanted))
    return made


def plans(bundle: Bundle, backend: Backend, found: Sequence[Part]) -> list[SamplerPlan]:
    """The sampler's table of each part. Sizes differ in their S_max alone."""
    with Pipeline(bundle, backend) as pipe:
        return [pipe.plan(part.request) for part in found]


def _tokens(manifest: Manifest, settings: Settings, size: tuple[int, int]) -> int:
    """Tokens of an evaluation of one picture, all its passes together."""
    height, width = latent_size(size, manifest.model.patch, manifest.pixel_factor)
    return (1 if settings.guidance == 1 else 2) * height * width // manifest.model.patch**2
