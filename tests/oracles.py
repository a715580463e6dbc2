"""What tests compare with: a scalar loop of the operator, a comparison that NaN fails, and the tolerances."""

import math

import numpy as np

TOLERANCES = {
    # (absolute, relative) by the dtype that is stored. A position near 64 has an ulp of 4e-6, a sample of 36 corners
    # sums that many roundings, and a sigmoid may be an approximation to 1e-7 of s_max · d.
    "float32": (1e-4, 1e-5),
    # Both sides compute in float32 and round once at the end: half an ulp each, 2⁻¹¹ and 2⁻⁸ of the value.
    "float16": (1e-4, 2.0**-10),
    "bfloat16": (1e-4, 2.0**-7),
    # The released code's arrays: what their README allows.
    "golden": (5e-5, 0),
    # Sums of float32 products over every tap that reads a cell, in another order.
    "gradient": (1e-4, 1e-4),
}


def assert_close(got, want, atol: float, rtol: float) -> None:
    """Fail unless |got - want| <= atol + rtol·|want| everywhere, shapes included; a NaN on either side fails."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, not {want.shape}"
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(got - want) <= atol + rtol * np.abs(want))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(f"{bad.sum()} of {bad.size} are off; at {first} {got[first]!r}, not {want[first]!r}")


def assert_same(got, want) -> None:
    """`assert_close` within the tolerance of `got`'s dtype where `want` is finite; elsewhere `got` is not either.

    An infinite weight times a corner weight of 0 is NaN or infinite by the order of the factors, which the contract
    leaves open, so the kinds of non-finite numbers are not told apart.
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, not {want.shape}"
    finite = np.isfinite(want.astype(np.float32))
    np.testing.assert_array_equal(np.isfinite(got.astype(np.float32)), finite)
    assert_close(got[finite], want[finite], *TOLERANCES[got.dtype.name])


def scalar_multi_scale_dcn(projection, prior, s_max, groups, taps):
    """The operator of `spec`, one tap of one output at a time, in Python's float64: [N, H, W, G·C] float64.

    Only the position is rounded to float32, since which cell it falls in is part of the contract.
    """
    N, H, W, width = projection.shape
    C = (width - groups * taps * 4) // groups
    out = np.zeros((N, H, W, groups * C))
    for n, y, x, g in np.ndindex(N, H, W, groups):
        for k in range(taps):
            start = groups * C + (g * taps + k) * 4
            dx, dy, s, a = (np.float32(value) for value in projection[n, y, x, start : start + 4])
            px = _position(x, dx, prior[k, 0], s, s_max[n, 0])
            py = _position(y, dy, prior[k, 1], s, s_max[n, 1])
            if not (-2 < px < W and -2 < py < H):
                continue
            for cy, wy in _corners(py, H):
                for cx, wx in _corners(px, W):
                    values = projection[n, cy, cx, g * C : (g + 1) * C].astype(np.float64)
                    with np.errstate(invalid="ignore"):
                        out[n, y, x, g * C : (g + 1) * C] += float(a) * wx * wy * values
    return out


def _position(cell, direction, prior, s, s_max) -> float:
    with np.errstate(all="ignore"):
        sigmoid = np.float32(1) / (np.float32(1) + np.exp(-s))
        return float(np.float32(cell) + (direction + prior) * sigmoid * s_max)


def _corners(p: float, size: int):
    """(cell, weight) of the one or two corners of a coordinate that are inside the grid."""
    first = math.trunc(p)
    return [(i, w) for i, w in ((first, first + 1 - p), (first + 1, p - first)) if 0 <= i < size]


def random_inputs(shape, groups, channels, taps, seed=0):
    """projection, prior and s_max that spread taps over and around the grid; every image has its own reach."""
    rng = np.random.default_rng(seed)
    projection = rng.standard_normal((*shape, groups * (channels + taps * 4)), np.float32)
    side = math.isqrt(taps)
    prior = np.stack(np.divmod(np.arange(taps), side)[::-1], -1).astype(np.float32) - (side - 1) // 2
    return projection, prior, rng.uniform(1, 6, (shape[0], 2)).astype(np.float32)


def planted_inputs(values, offset, weight):
    """Inputs whose taps move by `offset` exactly.

    Args: values [N, H, W, G, C]; offset [N, H, W, G, K, 2], as (x, y) in cells; weight [N, H, W, G, K]. The scale
    logit is 0 and s_max 2, so sigmoid · s_max is 1, and the prior is 0.
    """
    N, H, W, G, K = weight.shape
    taps = np.concatenate([offset, np.zeros((N, H, W, G, K, 1)), weight[..., None]], -1)
    parts = [part.reshape(N, H, W, -1) for part in (values, taps)]
    projection = np.concatenate(parts, -1).astype(np.float32)
    return projection, np.zeros((K, 2), np.float32), np.full((N, 2), 2, np.float32)


def border_inputs(H, W, values=(), weight=1.0):
    """One tap an image and token, at every pair of positions where the contract has an edge: G = K = 1, C = 5.

    `values` are planted in the first, the last and one inner cell.
    """
    x, y = (a.ravel() for a in np.meshgrid(_edges(W), _edges(H)))
    grid = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1)
    with np.errstate(invalid="ignore"):
        offset = np.stack([x, y], -1)[:, None, None] - grid.astype(np.float32)
    N = len(offset)
    v = np.random.default_rng(0).standard_normal((N, H, W, 1, 5))
    for cell, value in zip(((0, 0), (H - 1, W - 1), (H // 2, W // 2)), values, strict=False):
        v[:, cell[0], cell[1], :, ::2] = value
    return planted_inputs(v, offset.reshape(N, H, W, 1, 1, 2), np.full((N, H, W, 1, 1), weight))


def _edges(size: int) -> np.ndarray:
    inner = [np.nextafter(np.float32(-2), np.float32(0)), np.nextafter(np.float32(size), np.float32(0))]
    named = [-2, -1, 0, size - 1, size, -1.5, -0.25, size - 0.5, np.nan, np.inf, -np.inf, 1e30, -1e30]
    return np.array([*named, *inner], np.float32)


def golden_case(path):
    """((projection, prior, s_max), groups, taps, out) of one of `golden/op_*.npz`."""
    arrays = np.load(path)
    N, H, W, G, K = arrays["weight"].shape
    inputs = planted_inputs(arrays["value"], arrays["offset"], arrays["weight"])
    return inputs, G, K, arrays["out"].reshape(N, H, W, -1)


LAYOUTS = [
    # (N, H, W), groups, channels, taps: a single cell, single lines, one tap, channels that fill no vector, S, XL.
    ((1, 1, 1), 1, 1, 9),
    ((2, 1, 7), 2, 5, 9),
    ((2, 6, 1), 3, 5, 1),
    ((3, 5, 9), 1, 64, 9),
    ((3, 4, 3), 2, 7, 25),
    ((1, 6, 5), 6, 64, 9),
    ((1, 3, 4), 16, 72, 9),
]

BORDERS = {
    "finite": {},
    "NaN and infinite values": {"values": (np.nan, np.inf, -np.inf)},
    "NaN weight": {"weight": np.nan},
    "infinite weight": {"weight": -np.inf},
}
