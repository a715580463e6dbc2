"""The largest magnitude to represent of an activation, from a histogram of its magnitudes.

What is beyond a range is clipped, what is inside is rounded to a step that grows with the range: the best lies where
both errors together are least ("mse"), or simply where a share of all values fits ("percentile").
"""

import math

import numpy as np
from numpy.typing import NDArray

from fdcn.export.recipe import LARGEST
from fdcn.export.scales import rounded

METHODS = ("mse", "percentile")
SHARE = 0.9999
"""Of all values, that a range by percentile holds."""
_OCTAVES = 4
"""How far below the largest magnitude ranges are tried: more clipping than 16 times never paid."""
_POINTS = 8
"""Magnitudes that stand for those of a bin."""
_SMALLEST_SCALE = 2.0**-20
"""Sixteen steps of float16's subnormal numbers: rounded up to one of them, as `export.scales` does, a scale from there
on grows by a sixteenth at most; one far below would be 0 in a graph for a GPU."""

Array = NDArray[np.float64]


def choose(counts: np.ndarray, edges: np.ndarray, largest: float, method: str, precision: str) -> float:
    """The range of values with a histogram counts [BINS] over edges [BINS + 1], whose largest magnitude is known.

    `method` is one of `METHODS`. Gives 0 where all values are 0.
    """
    if not largest:
        return 0.0
    if method == "percentile":
        return min(percentile(counts, edges, SHARE), largest)
    candidates = candidates_below(edges, largest)
    return float(candidates[np.argmin(noise(counts, edges, candidates, precision))])


def problem(range_: float, precision: str) -> str:
    """Why a range cannot be used; empty where it can."""
    if not range_:
        return "its input is always zero"
    if range_ / LARGEST[precision] < _SMALLEST_SCALE:
        return f"its input's range, {range_:.3g}, is too small for a scale in float16"
    return ""


def percentile(counts: np.ndarray, edges: np.ndarray, share: float) -> float:
    """The magnitude that a share of all values does not exceed, linear inside a bin."""
    up_to = np.concatenate([[0], np.cumsum(counts)])
    return float(np.interp(share * up_to[-1], up_to, edges))


def candidates_below(edges: np.ndarray, largest: float) -> Array:
    """The ranges worth trying, ascending to `largest`: every other edge of the bins within some octaves below it."""
    inside = edges[(edges >= largest * 2.0**-_OCTAVES) & (edges < largest)]
    return np.append(inside[::2], largest)


def noise(counts: np.ndarray, edges: np.ndarray, ranges: Array, precision: str) -> Array:
    """The mean squared error of quantising with each of R ranges: counts [..., BINS] → [..., R].

    A bin's values are taken to lie evenly in it: where it is wider than a step that gives the usual step²/12.
    """
    used = np.flatnonzero(counts.reshape(-1, counts.shape[-1]).any(0))
    offsets = (np.arange(_POINTS) + 0.5) / _POINTS
    points = edges[used, None] + (edges[used + 1] - edges[used])[:, None] * offsets
    scales = np.reshape(ranges / LARGEST[precision], (-1, 1, 1))
    per_bin = np.mean((rounded(points, scales, precision) - points) ** 2, axis=2)
    total = counts.sum(-1, keepdims=True)
    errors: Array = counts[..., used] @ per_bin.T / np.maximum(total, 1)
    return errors


def power(counts: np.ndarray, edges: np.ndarray) -> Array:
    """The mean square of the values of histograms [..., BINS]."""
    middle = (edges[1:] ** 2 + edges[1:] * edges[:-1] + edges[:-1] ** 2) / 3
    squares: Array = counts @ middle / np.maximum(counts.sum(-1), 1)
    return squares


def decibels(ratio: float) -> float:
    """10·log10 of a ratio of powers."""
    return 10 * math.log10(ratio) if ratio > 0 else -math.inf
