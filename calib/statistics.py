"""What activations are along trajectories: range, histogram and channels' peaks of every value that products read.

Everything is kept for each distinct time of the sampler by itself, and adding to it is exact: counts are integers and
ranges are maxima, so neither the order nor the size of batches changes a bit.
"""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdcn.bundle import replace_file
from fdcn.errors import FdcnError

VERSION = 1
"""Of the file's layout and of what is measured."""
SPLIT = 5
"""Mantissa bits that a bin's number has: bins are 1/32 to 1/64 of their magnitude wide."""
EXPONENTS = (-24, 24)
"""Bins go from 2^-24 to 2^24; what is smaller, zero included, is in the first one, and what is larger in the last."""

_SHIFT = 23 - SPLIT
_FIRST, _LAST = ((127 + exponent) << SPLIT for exponent in EXPONENTS)
BINS = _LAST - _FIRST + 1


def bin_edges() -> np.ndarray:
    """Magnitudes between which the bins lie: float64 [BINS + 1], ascending from 0, the lower one inclusive."""
    patterns = np.arange(_FIRST, _LAST + 1, dtype=np.uint32) << np.uint32(_SHIFT)
    return np.concatenate([[0.0], patterns.view(np.float32).astype(np.float64)])


def histogram(x: np.ndarray) -> np.ndarray:
    """How many of the magnitudes |x| lie in each bin: float32 of any shape → int64 [BINS]. All must be finite."""
    # A float's upper bits, without its sign, number its bin: no logarithm, and no search.
    patterns = np.ascontiguousarray(x, np.float32).view(np.uint32)
    numbers = (patterns << np.uint32(1)) >> np.uint32(_SHIFT + 1)
    counts = np.bincount(numbers.ravel(), minlength=1 << (8 + SPLIT))
    counts[_FIRST - 1] = counts[:_FIRST].sum()
    counts[_LAST - 1] += counts[_LAST:].sum()
    return counts[_FIRST - 1 : _LAST]


@dataclasses.dataclass
class Measured:
    """One value that products read, over T distinct times and its K channels."""

    products: tuple[str, ...]
    """Every product that reads it, in graph order; the first names the value."""
    counts: np.ndarray
    """int64 [T, BINS]: see `histogram`."""
    low: np.ndarray
    """float32 [T]: the smallest x; infinite where nothing was added, as is `high`."""
    high: np.ndarray
    """float32 [T]: the largest x."""
    channels: np.ndarray
    """float32 [T, K]: the largest |x| of each channel."""

    @classmethod
    def empty(cls, products: Sequence[str], times: int, channels: int) -> "Measured":
        """Nothing added yet."""
        return cls(
            tuple(products),
            np.zeros((times, BINS), np.int64),
            np.full(times, np.inf, np.float32),
            np.full(times, -np.inf, np.float32),
            np.zeros((times, channels), np.float32),
        )

    @property
    def name(self) -> str:
        """The first product that reads the value."""
        return self.products[0]

    @property
    def largest(self) -> np.ndarray:
        """float32 [T]: the largest |x|."""
        return self.channels.max(1)

    def add(self, time: int, x: np.ndarray) -> bool:
        """Add values float32 [..., K] at a time, by its index; False, and nothing is added, if one is not finite."""
        rows = x.reshape(-1, x.shape[-1])
        low, high = rows.min(0), rows.max(0)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            return False
        self.low[time] = min(self.low[time], low.min())
        self.high[time] = max(self.high[time], high.max())
        np.maximum(self.channels[time], np.maximum(high, -low), out=self.channels[time])
        self.counts[time] += histogram(rows)
        return True


@dataclasses.dataclass
class Statistics:
    """All values of a network that products read, in graph order."""

    times: np.ndarray
    """float32 [T]: the distinct times at which the network was evaluated, ascending."""
    activations: list[Measured]
    settings: dict[str, str]
    """How they were measured, as texts."""

    @classmethod
    def empty(cls, times: np.ndarray, layers: Mapping[tuple[str, ...], int], settings: dict[str, str]) -> "Statistics":
        """Nothing added yet; `layers` gives, by the products that read a value, its number of channels."""
        measured = [Measured.empty(products, len(times), channels) for products, channels in layers.items()]
        return cls(times, measured, settings)

    @property
    def edges(self) -> np.ndarray:
        """float64 [BINS + 1]: magnitudes between which the bins of the counts lie."""
        return bin_edges()

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was measured, by the number of the activation and the name of its field."""
        every = enumerate(self.activations)
        return {f"{i}.{field}": getattr(measured, field) for i, measured in every for field in _ARRAYS}

    def save(self, path: Path) -> None:
        """Write them as one .npz, whole or not at all. Raises FdcnError where that cannot be done."""
        products = [measured.products for measured in self.activations]
        about = json.dumps({"version": VERSION, "products": products, "settings": self.settings})
        arrays: dict[str, Any] = self.arrays()
        replace_file(path, lambda file: np.savez_compressed(file, about=about, times=self.times, **arrays))


_ARRAYS = ("counts", "low", "high", "channels")


def load(path: Path) -> Statistics:
    """Read statistics. Raises FdcnError where the file is missing, damaged or of another version."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["version"] != VERSION:
                raise ValueError(f"version {about['version']}, this fdcn reads {VERSION}")
            measured = [
                Measured(tuple(products), *(file[f"{i}.{field}"] for field in _ARRAYS))
                for i, products in enumerate(about["products"])
            ]
            return Statistics(file["times"], measured, about["settings"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FdcnError(f"{path} is no statistics of fdcn calibrate ({error}); run fdcn calibrate again") from error
