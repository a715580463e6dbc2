"""One routine advances any row of any plan."""

from collections.abc import Callable, Sequence

import numpy as np

from fdcn.runtime.plan import Row, SamplerPlan

Normal = Callable[[int], np.ndarray]
"""The fresh normals of a row by draw, 0 or 1, in the latent's shape."""


class State:
    """Where a trajectory is: the carried base, the point to evaluate next, and the last outputs, newest first.

    All arrays are float32 [B, C, H, W]; `noise` is the initial latent.
    """

    def __init__(self, plan: SamplerPlan, noise: np.ndarray) -> None:
        self.plan = plan
        self.base = self.point = noise
        self.history: list[np.ndarray] = []

    def advance(self, row: Row, outputs: Sequence[np.ndarray], normal: Normal) -> np.ndarray:
        """Take one row: `outputs` are the network's, one a pass. Returns the weighted output v."""
        v = self._weighted(row, outputs)
        self.history = [v, *self.history[: self.plan.history - 1]]
        drawn: dict[int, np.ndarray] = {}

        def term(k: int) -> np.ndarray:
            if k < 2:
                return (self.base, self.point)[k]
            if k < 2 + self.plan.history:
                return self.history[k - 2]
            draw = k - 2 - self.plan.history
            if draw not in drawn:
                drawn[draw] = normal(draw)
            return drawn[draw]

        base = _combination(row.base, term)
        point = base if np.array_equal(row.base, row.point) else _combination(row.point, term)
        self.base, self.point = base, point
        return v

    def _weighted(self, row: Row, outputs: Sequence[np.ndarray]) -> np.ndarray:
        guided = self.plan.guided_channels
        v = np.zeros_like(outputs[0])
        for run, output in zip(row.passes, outputs, strict=True):
            v[:, :guided] += run.guided * output[:, :guided]
            if guided is not None:
                v[:, guided:] += run.rest * output[:, guided:]
        return v


def _combination(coefficients: np.ndarray, term: Callable[[int], np.ndarray]) -> np.ndarray:
    """Σ c_k · term k. A zero coefficient reads nothing: history may be unfilled, noise undrawn."""
    used = np.flatnonzero(coefficients)
    result = coefficients[used[0]] * term(int(used[0]))
    for k in used[1:]:
        result += coefficients[k] * term(int(k))
    return result
