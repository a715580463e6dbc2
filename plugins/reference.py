"""MultiScaleDCN in NumPy, as the contract says it: the oracle of every other implementation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcn.plugins import spec

_Array = NDArray[Any]


def multi_scale_dcn(projection: _Array, prior: _Array, s_max: _Array, groups: int, taps: int) -> _Array:
    """The operator of `spec`, tap by tap.

    Args: projection [N, H, W, G·C + G·K·4] in float32, float16 or ml_dtypes.bfloat16, any axis but the last may be
    empty; prior [K, 2] and s_max [N, 2] float32. Returns [N, H, W, G·C] in the projection's dtype. Raises ValueError
    for another shape or dtype. Source: FlowDCN, arXiv 2410.22655, section 3.2, with the borders of its released code.
    """
    values = _check(projection, prior, s_max, groups, taps)
    N, H, W, _ = projection.shape
    G, K = groups, taps
    v = projection[..., :values].astype(np.float32).reshape(N, H, W, G, values // G)
    tap = projection[..., values:].astype(np.float32).reshape(N, H, W, G, K, 4)
    out = np.zeros_like(v)
    # NaN and infinity are part of the contract, so arithmetic that makes or meets them is no reason to warn.
    with np.errstate(all="ignore"):
        sigmoid = 1 / (1 + np.exp(-tap[..., 2:3]))
        offset = (tap[..., :2] + prior) * sigmoid * s_max.reshape(N, 1, 1, 1, 1, 2)
        x = np.arange(W, dtype=np.float32).reshape(1, 1, W, 1, 1) + offset[..., 0]
        y = np.arange(H, dtype=np.float32).reshape(1, H, 1, 1, 1) + offset[..., 1]
        for k in range(K):
            n, h, w, g = np.nonzero(_counts(x[..., k], W) & _counts(y[..., k], H))
            at = (n, h, w, g, k)
            out[n, h, w, g] += tap[..., 3][at][:, None] * _sample(v, n, g, x[at], y[at])
    return out.reshape(N, H, W, values).astype(projection.dtype)


def _counts(p: _Array, size: int) -> _Array:
    """Whether a coordinate is in (-2, size); NaN is not."""
    return (p > spec.LOWER_BOUND) & (p < size)


def _sample(v: _Array, n: _Array, g: _Array, x: _Array, y: _Array) -> _Array:
    """Bilinear values [M, C] at M positions inside (-2, W) × (-2, H), in image n and group g; v [N, H, W, G, C]."""
    _, H, W, _, C = v.shape
    x0, y0 = np.trunc(x), np.trunc(y)
    sample = np.zeros((len(n), C), np.float32)
    for yi, wy in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
        for xi, wx in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
            m = np.flatnonzero((xi >= 0) & (xi < W) & (yi >= 0) & (yi < H))
            corner = v[n[m], yi[m].astype(np.intp), xi[m].astype(np.intp), g[m]]
            sample[m] += (wx * wy)[m, None] * corner
    return sample


def _check(projection: _Array, prior: _Array, s_max: _Array, groups: int, taps: int) -> int:
    """The width of the values; ValueError says what does not fit the contract."""
    if projection.ndim != 4:
        raise ValueError(f"projection has shape {projection.shape}, not [N, H, W, G·C + G·K·4]")
    if projection.dtype.name not in spec.DTYPES:
        raise ValueError(f"projection is {projection.dtype}, not one of {', '.join(spec.DTYPES)}")
    for name, array, shape in (("prior", prior, (taps, 2)), ("s_max", s_max, (len(projection), 2))):
        if array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not float32 {shape}")
    return spec.value_width(projection.shape[3], groups, taps)
