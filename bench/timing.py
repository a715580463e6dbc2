"""Times of calls, all of them kept, and what is told of them."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

LEAST, MOST = 3, 1000
"""Calls that count, however long or short one is."""
WARMUP = 2
"""Calls that do not count; one where the first takes all the time that there is."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long to measure one thing."""

    seconds: float = 2.0
    repeats: int | None = None
    """Calls, instead of seconds."""

    def calls(self, one: float) -> int:
        """How many calls to make, where one takes so many seconds."""
        return self.repeats or round(min(max(self.seconds / max(one, 1e-9), LEAST), MOST))


@dataclasses.dataclass(frozen=True)
class Spread:
    """Percentiles in seconds, interpolated linearly: of few samples, the last one is close to the largest."""

    p50: float
    p90: float
    p99: float


def spread(samples: Sequence[float]) -> Spread:
    """Percentiles of at least one sample."""
    return Spread(*(float(value) for value in np.percentile(samples, (50, 90, 99))))


def measure(work: Callable[[], object], pace: Pace) -> list[float]:
    """Seconds of each call of a work that is warm, by the wall's clock."""
    one = stopwatch(work)
    if one < pace.seconds:
        one = min(stopwatch(work) for _ in range(WARMUP - 1))
    return [stopwatch(work) for _ in range(pace.calls(one))]


def stopwatch(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
