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
    """`assert_close` within the tolerance of `got`'s dtype where `want` is finite; elsewhere `got` is not finite either.

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
