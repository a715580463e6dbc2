"""A value that products read, as it will be quantised: its magnitudes after migration, and the products' weights."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from fdcn.calib import ranges
from fdcn.calib.statistics import Measured, bin_edges, histogram

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One value over T times, after migration."""

    name: str
    products: tuple[str, ...]
    """Every product that reads it, in graph order."""
    counts: np.ndarray
    """int64 [T, BINS]: see `statistics.histogram`."""
    largest: np.ndarray
    """float [T]: the largest magnitude, exact."""
    migration: NDArray[np.float32] | None
    """SmoothQuant's s [K]: the value is divided by it."""

    def range(self, method: str, precision: str, times: slice = slice(None)) -> float:
        """The range for some of the times; 0 where the value is always zero then."""
        counts, largest = self.counts[times].sum(0), float(self.largest[times].max())
        return ranges.choose(counts, bin_edges(), largest, method, precision)


def plain(measured: Measured) -> Layer:
    """A layer without migration: its histogram is of every value that was seen."""
    return Layer(measured.name, tuple(measured.products), measured.counts, measured.largest, None)


def migrated(measured: Measured, rows: np.ndarray, migration: NDArray[np.float32]) -> Layer:
    """A layer whose channels are divided by s [K].

    Its histogram is of sampled rows [T, R, K]: that of all values does not know their channels. The largest magnitude,
    which is known, is counted once more: rare ones may be in no sampled row.
    """
    largest = (measured.channels / migration).max(1)
    counts = np.stack([histogram(some / migration) + histogram(most) for some, most in zip(rows, largest, strict=True)])
    return Layer(measured.name, tuple(measured.products), counts, largest, migration)
