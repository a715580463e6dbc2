"""Comparisons and oracles that several tests share."""

import numpy as np


def assert_close(got, want, atol, rtol):
    """Elementwise |got - want| <= atol + rtol·|want|; NaN is never close."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"shape {got.shape}, wanted {want.shape}"
    bad = ~(np.abs(got - want) <= atol + rtol * np.abs(want))
    assert not bad.any(), f"{bad.sum()} of {bad.size} differ, by up to {np.nanmax(np.abs(got - want))}"
