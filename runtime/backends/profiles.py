"""Which of an engine's profiles a run takes, and in how many parts."""

import itertools
import math
from collections.abc import Sequence

from fdcn.bundle import Extent, Profile


def split(total: int, most: int) -> list[slice]:
    """Consecutive parts of `total` things, at most `most` in each, as few and as even as can be."""
    parts = -(-total // most)
    ends = [total * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def fit(profiles: Sequence[Profile], wanted: Extent) -> tuple[int, list[slice]] | None:
    """Index of the profile for a size, and the parts that the batch goes in; None where no profile holds the size.

    Rows of a batch are independent, so that a batch beyond a profile's largest is run in parts. The profile with the
    fewest parts is taken, and of those the one tuned for the nearest size.
    """
    found = []
    for i, profile in enumerate(profiles):
        parts = split(wanted.batch, profile.max.batch)
        ends = min(parts, key=_length), max(parts, key=_length)
        if all(profile.holds(Extent(wanted.width, wanted.height, _length(part))) for part in ends):
            found.append((len(parts), _distance(profile.opt, wanted), i, parts))
    return min(found)[2:] if found else None


def nearest(profiles: Sequence[Profile], wanted: Extent) -> Profile:
    """The profile that a size is the fewest times too small or too large for."""
    return min(profiles, key=lambda profile: _distance(_clamped(profile, wanted), wanted))


def around(wanted: Extent) -> Profile:
    """A profile that holds a size, in its batch and in smaller ones."""
    rows = wanted.batch
    return Profile(*(Extent(wanted.width, wanted.height, batch) for batch in (1, rows, rows)))


def _length(part: slice) -> int:
    return part.stop - part.start


def _numbers(extent: Extent) -> tuple[int, int, int]:
    return extent.width, extent.height, extent.batch


def _clamped(profile: Profile, wanted: Extent) -> Extent:
    low, middle, high = map(_numbers, (profile.min, wanted, profile.max))
    return Extent(*(min(max(a, b), c) for a, b, c in zip(low, middle, high, strict=True)))


def _distance(a: Extent, b: Extent) -> float:
    """Sum of the logarithms of how many times each number of one size is the other's."""
    width, height, batch = (abs(math.log(x / y)) for x, y in zip(_numbers(a), _numbers(b), strict=True))
    return width + height + batch  # `sum` would round differently from Python 3.12 on
