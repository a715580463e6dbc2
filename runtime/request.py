"""What a caller asks for, checked against a bundle and completed with its defaults."""

import dataclasses
import difflib
import math
import operator
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fdcn.bundle import AT_MOST, Manifest
from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.plan import Guidance
from fdcn.runtime.solvers import check_solver
from fdcn.runtime.tables import CUTOFF, EVERY_CLASS_UP_TO, IMAGES_AT_MOST, NEAREST
from fdcn.sizes import format_size, latent_size

SEED_RANGE = 1 << 64
ON_HOST = 1
"""kDLCPU of DLPack's devices."""


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
        raise FdcnError(say("request.count", count=count))
    if labels is None:
        labels = range(manifest.model.classes) if manifest.model.classes <= EVERY_CLASS_UP_TO else [0]
    _check_number(len(labels) * count)
    chosen = [label_index(manifest, label) for label in labels for _ in range(count)]
    if not chosen:
        raise FdcnError(say("request.no_label"))
    if noise is not None:
        noise = _checked_noise(manifest, noise)
        chosen, size = _labels_of_noise(chosen, noise.shape[0]), _size_of_noise(manifest, noise, size)
    size = size or _pair(manifest.fixed_size or manifest.train_size)
    _check_size(manifest, size)
    if seeds is not None and len(seeds) != len(chosen):
        raise FdcnError(say("request.seeds", seeds=len(seeds), images=len(chosen)))
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
    by_name = _by_name(manifest)
    if isinstance(label, str) and label.casefold() in by_name:
        return by_name[label.casefold()]
    try:
        index = int(label) if isinstance(label, str) else operator.index(label)
    except (ValueError, TypeError):
        raise FdcnError(say("request.unknown_class", label=repr(label), hint=_hint(manifest, str(label)))) from None
    if not 0 <= index < classes:
        raise FdcnError(say("request.class_range", number=index, classes=classes, last=classes - 1))
    return index


def label_names(manifest: Manifest, indices: Sequence[int]) -> list[str]:
    """What finds each class again: its name, or its number where the bundle has no names, or finds another by it."""
    found = {i: manifest.class_names[i] for i in _by_name(manifest).values()} if manifest.class_names else {}
    return [found.get(i, str(i)) for i in indices]


def _by_name(manifest: Manifest) -> dict[str, int]:
    """Classes by their names without letter case; of two equal ones the last counts."""
    return {name.casefold(): i for i, name in enumerate(manifest.class_names or [])}


def _hint(manifest: Manifest, label: str) -> str:
    names = {name.casefold(): name for name in manifest.class_names or []}
    near = difflib.get_close_matches(label.casefold(), names, n=NEAREST, cutoff=CUTOFF)
    near += [name for name in names if label.casefold() in name and name not in near]
    if near:
        return say("request.nearest_classes", names=", ".join(repr(names[name]) for name in near[:NEAREST]))
    last = manifest.model.classes - 1
    return say("request.class_numbers_or_names", last=last) if names else say("request.class_numbers", last=last)


def _labels_of_noise(labels: list[int], images: int) -> list[int]:
    if len(labels) == 1:
        _check_number(images)
        return labels * images
    if len(labels) != images:
        raise FdcnError(say("request.noise_labels", images=images, labels=len(labels)))
    return labels


def _checked_noise(manifest: Manifest, noise: Any) -> Any:
    """Noise as a NumPy array of float32, unless it lies on a GPU: then it stays there, and nobody looks at its numbers.

    Raises FdcnError where it is no noise for this model.
    """
    if not isinstance(noise, np.ndarray):
        if not hasattr(noise, "__dlpack__"):
            raise FdcnError(say("request.noise_kind", kind=type(noise).__name__))
        if noise.__dlpack_device__()[0] != ON_HOST:
            _check_shape(manifest, noise)
            if not str(noise.dtype).endswith("float32"):
                raise FdcnError(say("request.noise_dtype", dtype=noise.dtype))
            return noise
        try:
            noise = np.from_dlpack(noise)
        except (BufferError, RuntimeError, TypeError) as error:
            raise FdcnError(say("request.noise_unreadable", reason=str(error)[:100])) from error
    _check_shape(manifest, noise)
    if noise.dtype.kind not in "fiu" or not np.isfinite(noise).all():
        raise FdcnError(say("request.noise_not_finite", dtype=noise.dtype))
    return np.ascontiguousarray(noise, np.float32)


def _check_shape(manifest: Manifest, noise: Any) -> None:
    shape, c, p = tuple(noise.shape), manifest.model.channels, manifest.model.patch
    if len(shape) != 4 or shape[1] != c or 0 in shape or shape[2] % p or shape[3] % p:
        raise FdcnError(say("request.noise_shape", shape=list(shape), channels=c, patch=p))


def _size_of_noise(manifest: Manifest, noise: Any, size: tuple[int, int] | None) -> tuple[int, int]:
    """The size that the noise implies, or the one asked for where it is covered by just this latent."""
    latent, factor = tuple(noise.shape[2:]), manifest.pixel_factor
    whole = (latent[1] * factor, latent[0] * factor)
    if size is None:
        return whole
    if latent_size(size, manifest.model.patch, factor) != latent:
        raise FdcnError(say("request.noise_size", whole=format_size(whole), size=format_size(size)))
    return size


def _check_number(images: int) -> None:
    if images > IMAGES_AT_MOST:
        raise FdcnError(say("request.too_many", images=images, most=IMAGES_AT_MOST))


def _check_size(manifest: Manifest, size: tuple[int, int]) -> None:
    if size[0] < 1 or size[1] < 1:
        raise FdcnError(say("request.no_pixels", size=format_size(size)))
    if max(size) > AT_MOST:
        raise FdcnError(say("request.too_large", size=format_size(size), most=AT_MOST))
    if manifest.fixed_size is not None:
        unit = (manifest.model.patch, manifest.pixel_factor)
        if latent_size(size, *unit) != latent_size(_pair(manifest.fixed_size), *unit):
            only = format_size(_pair(manifest.fixed_size))
            raise FdcnError(say("request.fixed_size", only=only, size=format_size(size)))


def _steps(manifest: Manifest, solver: str | None, steps: int | None) -> int:
    if steps is not None:
        return steps
    if not solver or solver == manifest.sampling.solver:
        return manifest.sampling.steps
    check_solver(solver)
    raise FdcnError(say("request.steps_needed", solver=solver))


def _guidance(scale: float, channels: Literal["all", "3"], interval: tuple[float, float]) -> Guidance:
    if not math.isfinite(scale):
        raise FdcnError(say("request.guidance", guidance=scale))
    if channels not in ("all", "3"):
        raise FdcnError(say("request.guidance_channels", channels=repr(channels)))
    low, high = interval
    if not (0 <= low <= high <= 1):
        raise FdcnError(say("request.guidance_interval", low=low, high=high))
    return Guidance(scale, channels, interval)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[1]
