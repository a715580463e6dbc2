"""A sample of the rows that products read: bounded whatever the number of pictures, and the same for the same seed."""

from collections.abc import Mapping

import numpy as np

PER_VALUE = 512
"""Rows of a value in all, shared by its times."""


class Rows:
    """For each value, by its first product, R rows of its K channels at each of T times.

    Which rows they will be is settled before anything is measured, for each picture by itself: so an interrupted run
    takes the same as a whole one.
    """

    def __init__(self, channels: Mapping[str, int], times: int, pictures: int, seed: int) -> None:
        """`channels` gives K of each value; `pictures` is how many there will be in all."""
        self.per_time = max(1, PER_VALUE // times)
        self._pictures, self._seed = pictures, seed
        self.by_name = {name: np.zeros((times, self.per_time, k), np.float32) for name, k in channels.items()}
        """float32 [T, R, K]; zeros where no picture has been taken yet."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The rows by the name of their value."""
        return self.by_name

    def take(self, name: str, time: int, picture: int, x: np.ndarray) -> None:
        """Take a picture's share of what a value was at a time: x is float32 [n, K], its rows of the network."""
        first, after = (self.per_time * i // self._pictures for i in (picture, picture + 1))
        # Values of one picture and time with equal n give the same rows: those of the same tokens.
        drawn = np.random.default_rng([self._seed, picture, time]).integers(0, len(x), after - first)
        self.by_name[name][time, first:after] = x[drawn]
