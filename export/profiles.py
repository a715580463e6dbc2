"""The sizes a TensorRT engine takes: `--profile MIN:OPT:MAX`, and the profile where none is given.

A size is WIDTHxHEIGHT in pixels, with xN for the batch. The batch counts rows of the network, and a guided picture
takes two: its own class and the null class.
"""

import dataclasses
import itertools
import re
from collections.abc import Sequence

from fdcn.bundle import Extent, Manifest, Profile
from fdcn.errors import FdcnError
from fdcn.sizes import format_size, parse_size

BATCH = (1, 2, 8)
"""Batches where a profile does not say: one guided picture is what an engine is tuned for, four go in at once."""
ASPECT = 3
"""The default profile has each side from a third of the training size's to three times it: 1:3 to 3:1."""
STEPS, LABELS = (1, 10, 16), (1, 2, 16)
"""What the conditioner takes at a time, whatever the picture's size. Its output is S·B rows: XL/2 has 783 KB a row."""

Axes = dict[str, tuple[int, int, int]]
"""Minimum, optimum and maximum of each dynamic axis, by the name that the exported graph gives it."""


def parse_profile(text: str) -> Profile:
    """Read MIN:OPT:MAX, as 256x256:512x512:1024x1024x16. Raises ValueError with the reason."""
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(f"{text!r} is not MIN:OPT:MAX, such as 256x256:512x512:1024x1024x16")
    (smallest, low), (best, middle), (largest, high) = map(_parse_extent, parts)
    low = low or BATCH[0]
    high = high or max(BATCH[2], middle or 0, low)
    middle = middle or min(max(BATCH[1], low), high)
    profile = Profile(Extent(*smallest, low), Extent(*best, middle), Extent(*largest, high))
    for a, b in itertools.pairwise((profile.min, profile.opt, profile.max)):
        for field in dataclasses.fields(Extent):
            if getattr(a, field.name) > getattr(b, field.name):
                raise ValueError(f"{text!r} is not MIN:OPT:MAX: the {field.name} goes down from {a} to {b}")
    return profile


def resolve(manifest: Manifest, asked: Sequence[Profile]) -> list[Profile]:
    """The profiles of an engine: those asked for, or the default one.

    Raises FdcnError for a size off the model's grid, another size than the one a bundle is fixed to, or a profile
    that is there twice.
    """
    unit = manifest.model.patch * manifest.pixel_factor
    fixed = _grid(manifest.fixed_size, unit) if manifest.fixed_size is not None else None
    for profile in asked:
        for extent in (profile.min, profile.opt, profile.max):
            size = (extent.width, extent.height)
            if fixed is not None and size != fixed:
                raise FdcnError(
                    f"profile {profile}: the bundle's graphs take {format_size(fixed)} alone; name that size, "
                    "or export with --dynamic-shape"
                )
            if size != _grid(size, unit):
                up, down = (format_size(_grid(size, unit, up)) for up in (True, False))
                raise FdcnError(
                    f"profile {profile}: {format_size(size)} is off the model's grid of {unit} pixels; "
                    f"take {down} or {up}, which holds it"
                )
    twice = next((p for i, p in enumerate(asked) if p in asked[:i]), None)
    if twice is not None:
        raise FdcnError(f"profile {twice} is there twice; leave one out")
    return list(asked) or [default(manifest)]


def default(manifest: Manifest) -> Profile:
    """One profile around the training size, with aspect ratios from 1:3 to 3:1; of a fixed size, its batches alone."""
    unit = manifest.model.patch * manifest.pixel_factor
    if manifest.fixed_size is not None:
        sizes = [_grid(manifest.fixed_size, unit)] * 3
    else:
        sizes = [
            _grid([side // ASPECT for side in manifest.train_size], unit, up=False),
            _grid(manifest.train_size, unit),
            _grid([side * ASPECT for side in manifest.train_size], unit),
        ]
    return Profile(*(Extent(*size, batch) for size, batch in zip(sizes, BATCH, strict=True)))


def axes(graph: str, profiles: Sequence[Profile], pixel_factor: int) -> list[Axes]:
    """Each profile's dynamic axes of a graph, sides in latent elements.

    The conditioner has one profile of its own. Pictures are decoded one at a time: a VAE's activations at the largest
    size would outweigh the denoiser's many times.
    """
    if graph == "conditioner":
        return [{"steps": STEPS, "labels": LABELS}]

    def three(profile: Profile, field: str, divisor: int = 1) -> tuple[int, int, int]:
        low, best, high = (getattr(extent, field) // divisor for extent in (profile.min, profile.opt, profile.max))
        return low, best, high

    return [
        {
            "batch": (1, 1, 1) if graph == "decoder" else three(profile, "batch"),
            "height": three(profile, "height", pixel_factor),
            "width": three(profile, "width", pixel_factor),
        }
        for profile in profiles
    ]


def _parse_extent(text: str) -> tuple[tuple[int, int], int | None]:
    """((width, height), batch if given) of WIDTHxHEIGHT or WIDTHxHEIGHTxBATCH."""
    match = re.fullmatch(r"(.*?[xX×].*?)[xX×]\s*(\d{1,9})\s*", text, re.ASCII)
    if match is None:
        return parse_size(text), None
    if int(match[2]) < 1:
        raise ValueError(f"{text!r} has an empty batch: at least 1")
    return parse_size(match[1]), int(match[2])


def _grid(size: Sequence[int], unit: int, up: bool = True) -> tuple[int, int]:
    """A size with each side on the grid, rounded up or down, at least one unit."""
    width, height = (max(1, -(-side // unit) if up else side // unit) * unit for side in size)
    return width, height
