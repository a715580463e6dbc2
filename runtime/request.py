"""What a caller asks for, checked against a bundle and completed with its defaults."""

import dataclasses
import difflib
import math
import operator
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fdcn.bundle import Manifest
from fdcn.errors import FdcnError
from fdcn.runtime.plan import Guidance
from fdcn.runtime.solvers import check_solver
from fdcn.sizes import format_size, latent_size

NEAREST = 4
SEED_RANGE = 1 << 64
IMAGES_AT_MOST = 100_000
ON_HOST = 1
"""kDLCPU of DLPack's devices."""
EVERY_CLASS_UP_TO = 10
"""A model of at most so many classes shows each once by default."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One run, complete: `labels` and `seeds` have an entry an image, `size` is (width, height) in pixels."""

    labels: tuple[int, ...]
    seeds: tuple[int, ...]
    size: tuple[int, int]
    latent: tuple[int, int]
    """(height, width) of the latent that covers the size."""
    solver: str
    steps: int
    last_step: float | None
    guidance: Guidance
    s_max_adjust: bool
    noise: Any | None
    """The initial latent, float32 [images, C, *latent], or None to draw it from the seeds: a NumPy array, or an object
    with `__dlpack__` where it lies on a GPU."""


def resolve(
    manifest: Manifest,
    *,
    labels: Sequence[str | int] | None = None,
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
) -> Request:
    """Complete a request, whose arguments are those of `Pipeline.__call__`. Raises FdcnError for impossible ones."""
    sampling = manifest.sampling
    if count < 1:
        raise FdcnError(f"count must be at least 1, not {count}")
    if labels is None:
        labels = range(manifest.model.classes) if manifest.model.classes <= EVERY_CLASS_UP_TO else [0]
    if len(labels) * count > IMAGES_AT_MOST:
        raise FdcnError(f"{len(labels) * count} pictures in one run are too many; ask for {IMAGES_AT_MOST} at most")
    chosen = [label_index(manifest, label) for label in labels for _ in range(count)]
    if not chosen:
        raise FdcnError("no label was given: name at least one class")
    if noise is not None:
        noise = _checked_noise(manifest, noise)
        chosen, size = _labels_of_noise(chosen, noise.shape[0]), _size_of_noise(manifest, noise, size)
    size = size or _pair(manifest.fixed_size or manifest.train_size)
    _check_size(manifest, size)
    if seeds is not None and len(seeds) != len(chosen):
        raise FdcnError(f"{len(seeds)} seeds were given for {len(chosen)} images; give one an image")
    return Request(
        labels=tuple(chosen),
        seeds=tuple(int(s) % SEED_RANGE for s in (seeds or (seed + i for i in range(len(chosen))))),
        size=size,
        latent=latent_size(size, manifest.model.patch, manifest.pixel_factor),
        solver=solver or sampling.solver,
        steps=_steps(manifest, solver, steps),
        last_step=last_step,
        guidance=_guidance(sampling.guidance if guidance is None else guidance, guidance_channels, guidance_interval),
        s_max_adjust=sampling.s_max_adjust if s_max_adjust is None else s_max_adjust,
        noise=noise,
    )


def label_index(manifest: Manifest, label: str | int) -> int:
    """A class's index from its name (letter case aside) or number. Raises FdcnError with the nearest names."""
    classes = manifest.model.classes
    by_name = {name.casefold(): i for i, name in enumerate(manifest.class_names or [])}
    if isinstance(label, str) and label.casefold() in by_name:
        return by_name[label.casefold()]
    try:
        index = int(label) if isinstance(label, str) else operator.index(label)
    except (ValueError, TypeError):
        raise FdcnError(f"no class is called {label!r}; {_hint(manifest, str(label))}") from None
    if not 0 <= index < classes:
        raise FdcnError(f"class {index} does not exist; the model has {classes} classes, 0 to {classes - 1}")
    return index


def label_name(manifest: Manifest, index: int) -> str:
    """A class's name, or its number where the bundle has no names."""
    return manifest.class_names[index] if manifest.class_names else str(index)


def _hint(manifest: Manifest, label: str) -> str:
    names = {name.casefold(): name for name in manifest.class_names or []}
    near = difflib.get_close_matches(label.casefold(), names, n=NEAREST, cutoff=0.5)
    near += [name for name in names if label.casefold() in name and name not in near]
    if near:
        return f"the nearest are {', '.join(repr(names[name]) for name in near[:NEAREST])}"
    return f"give a number from 0 to {manifest.model.classes - 1}" + (
        ", or a name that `fdcn inspect` lists" if names else ""
    )


def _labels_of_noise(labels: list[int], images: int) -> list[int]:
    if len(labels) == 1:
        return labels * images
    if len(labels) != images:
        raise FdcnError(
            f"the noise holds {images} images for {len(labels)} labels × count; give one label, or {images}"
        )
    return labels


def _checked_noise(manifest: Manifest, noise: Any) -> Any:
    """Noise as a NumPy array of float32, unless it lies on a GPU: then it stays there, and nobody looks at its numbers.

    Raises FdcnError where it is no noise for this model.
    """
    if not isinstance(noise, np.ndarray):
        if not hasattr(noise, "__dlpack__"):
            raise FdcnError(
                f"the noise is a {type(noise).__name__}, not an array; give NumPy's, or one with __dlpack__"
            )
        if noise.__dlpack_device__()[0] != ON_HOST:
            _check_shape(manifest, noise)
            if not str(noise.dtype).endswith("float32"):
                raise FdcnError(f"the noise on the GPU is {noise.dtype}; give float32")
            return noise
        try:
            noise = np.from_dlpack(noise)
        except (BufferError, RuntimeError, TypeError) as error:
            raise FdcnError(f"the noise cannot be read ({str(error)[:100]}); give float32 without gradients") from error
    _check_shape(manifest, noise)
    if noise.dtype.kind not in "fiu" or not np.isfinite(noise).all():
        raise FdcnError(f"the noise must be finite real numbers, not {noise.dtype} with NaN or infinity")
    return np.ascontiguousarray(noise, np.float32)


def _check_shape(manifest: Manifest, noise: Any) -> None:
    shape, c, p = tuple(noise.shape), manifest.model.channels, manifest.model.patch
    if len(shape) != 4 or shape[1] != c or 0 in shape or shape[2] % p or shape[3] % p:
        raise FdcnError(
            f"the noise has shape {list(shape)}, expected [images, {c}, height, width] with sides in multiples of {p}"
        )


def _size_of_noise(manifest: Manifest, noise: Any, size: tuple[int, int] | None) -> tuple[int, int]:
    """The size that the noise implies, or the one asked for where it is covered by just this latent."""
    latent, factor = tuple(noise.shape[2:]), manifest.pixel_factor
    whole = (latent[1] * factor, latent[0] * factor)
    if size is None:
        return whole
    if latent_size(size, manifest.model.patch, factor) != latent:
        raise FdcnError(f"the noise is for {format_size(whole)}, not {format_size(size)}; leave the size out")
    return size


def _check_size(manifest: Manifest, size: tuple[int, int]) -> None:
    if size[0] < 1 or size[1] < 1:
        raise FdcnError(f"a picture of {format_size(size)} has no pixels; both sides must be at least 1")
    if manifest.fixed_size is not None:
        unit = (manifest.model.patch, manifest.pixel_factor)
        if latent_size(size, *unit) != latent_size(_pair(manifest.fixed_size), *unit):
            only = format_size(_pair(manifest.fixed_size))
            raise FdcnError(
                f"this bundle was exported for {only} alone, not {format_size(size)}; export with --dynamic-shape"
            )


def _steps(manifest: Manifest, solver: str | None, steps: int | None) -> int:
    if steps is not None:
        return steps
    if solver is None or solver == manifest.sampling.solver:
        return manifest.sampling.steps
    check_solver(solver)
    raise FdcnError(f"solver {solver} needs --steps: how many evaluations a picture")


def _guidance(scale: float, channels: Literal["all", "3"], interval: tuple[float, float]) -> Guidance:
    if not math.isfinite(scale):
        raise FdcnError(f"guidance must be a finite number, not {scale}; 4 suits pictures")
    if channels not in ("all", "3"):
        raise FdcnError(f'guidance channels are "all" or "3", not {channels!r}')
    low, high = interval
    if not (0 <= low <= high <= 1):
        raise FdcnError(f"guidance interval {low}:{high} is not LO:HI with 0 <= LO <= HI <= 1")
    return Guidance(scale, channels, interval)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[1]
