"""What a backend on a device may have so that it can be measured without what surrounds it."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Instrumented(Protocol):
    """A backend that can say what its device did. `feeds` has the inputs of a graph by name, as in its methods."""

    def timed(self, graph: str, feeds: Mapping[str, np.ndarray], repeats: int) -> list[float]:
        """Seconds of each of some runs of a graph, by the device's clock: its inputs lie there, nothing is copied."""
        ...

    def profile(self, graph: str, feeds: Mapping[str, np.ndarray]) -> list[tuple[str, float]]:
        """Name and seconds of every layer of one run of a graph that is warm, in order."""
        ...
