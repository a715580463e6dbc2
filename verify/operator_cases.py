"""Inputs of the operator on which two implementations must agree: inside the grid, on its edges and far outside."""

import dataclasses

import ml_dtypes
import numpy as np

from fdcn.plugins import spec
from fdcn.verify.one_operator import Layout
from fdcn.verify.run_operator import Inputs

TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
REACH = (1.0, 12.0)
"""Of s_max, in token pixels: to beyond twice the usual."""
JUMPS = (spec.LOWER_BOUND, spec.LOWER_BOUND + 1)
"""Positions at which the contract is discontinuous."""
CLEARANCE = 1e-3
"""A sigmoid may be an approximation, so random taps keep so far from a jump."""


def cases(layout: Layout, precision: str) -> dict[str, Inputs]:
    """Inputs by name. Projections are float32 with numbers that `precision` holds: both sides start from the same."""
    shapes = {"random": (2, 9, 14), "one cell": (1, 1, 1), "one row": (2, 1, 11), "one column": (2, 13, 1)}
    made = {name: _random(layout, precision, shape) for name, shape in shapes.items()}
    return {**made, "edges": _edges(layout, precision), "not finite": _not_finite(layout, made["random"])}


def _random(layout: Layout, precision: str, shape: tuple[int, int, int]) -> Inputs:
    """Taps all over the grid and around it."""
    groups, channels, taps = dataclasses.astuple(layout)
    rng = np.random.default_rng(0)
    projection = rng.standard_normal((*shape, spec.projection_width(groups, channels, taps)))
    projection = _rounded(projection, precision)
    prior = rng.uniform(-1, 1, (taps, 2)).astype(np.float32)
    s_max = rng.uniform(*REACH, (shape[0], 2)).astype(np.float32)
    tap = _taps(layout, projection).astype(np.float64)
    offset = (tap[..., :2] + prior) / (1 + np.exp(-tap[..., 2:3])) * s_max.reshape(-1, 1, 1, 1, 1, 2)
    position = offset + _grid(shape)[:, :, None, None]
    near = np.any([np.abs(position - jump) < CLEARANCE for jump in JUMPS], axis=(0, -1))
    _taps(layout, projection)[..., 3][near] = 0
    return {"projection": projection, "prior": prior, "s_max": s_max}


def _edges(layout: Layout, precision: str) -> Inputs:
    """Taps at every pair of positions where the contract has an edge, a pair an image; these positions are exact."""
    H, W = 3, 5
    x, y = ([-2, -1.75, -1, -0.25, 0, size - 1, size - 0.25, size, size + 3] for size in (W, H))
    pairs = np.stack(np.meshgrid(x, y), -1).reshape(-1, 1, 1, 2)
    groups, channels, taps = dataclasses.astuple(layout)
    rng = np.random.default_rng(0)
    projection = rng.standard_normal((len(pairs), H, W, spec.projection_width(groups, channels, taps)))
    projection = _rounded(projection, precision)
    tap = _taps(layout, projection)
    tap[..., :2] = (pairs - _grid((len(pairs), H, W)))[:, :, :, None, None]
    tap[..., 2] = 0
    # Half of a reach of two: an offset is the direction itself.
    reach = np.full((len(pairs), 2), 2, np.float32)
    return {"projection": projection, "prior": np.zeros((taps, 2), np.float32), "s_max": reach}


def _not_finite(layout: Layout, inputs: Inputs) -> Inputs:
    """Some of the taps sent nowhere: they contribute nothing."""
    projection = inputs["projection"].copy()
    tap = _taps(layout, projection)
    rng = np.random.default_rng(1)
    for field in range(3):
        hit = rng.random(tap.shape[:-1]) < 0.1
        tap[..., field][hit] = rng.choice([np.nan, np.inf, -np.inf], hit.sum())
    return {**inputs, "projection": projection}


def _taps(layout: Layout, projection: np.ndarray) -> np.ndarray:
    """The taps [N, H, W, G, K, 4] of a projection, as a view: one axis becomes three."""
    taps = projection[..., layout.groups * layout.channels :]
    return taps.reshape(*taps.shape[:3], layout.groups, layout.taps, len(spec.TAP_FIELDS))


def _grid(shape: tuple[int, int, int]) -> np.ndarray:
    """(column, row) of each cell: [H, W, 2]."""
    return np.stack(np.meshgrid(np.arange(shape[2]), np.arange(shape[1])), -1)


def _rounded(values: np.ndarray, precision: str) -> np.ndarray:
    return values.astype(TYPES[precision]).astype(np.float32)
