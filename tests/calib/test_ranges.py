"""Ranges from histograms, against the values themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.bundle import QUANTISED
from fdcn.calib import ranges
from fdcn.calib.statistics import bin_edges, histogram
from fdcn.export.recipe import LARGEST
from fdcn.export.scales import rounded, scale

EDGES = bin_edges()


def drawn(seed, scale=1.0, size=20_000):
    """Values with a tail: Laplace."""
    return np.random.default_rng(seed).laplace(0, scale, size).astype(np.float32)


def error_of(values, range_, precision):
    """The mean squared error of quantising values, directly."""
    return float(np.mean((rounded(values, np.float32(range_ / LARGEST[precision]), precision) - values) ** 2))


@pytest.mark.parametrize("precision", QUANTISED)
@pytest.mark.parametrize("factor", [0.05, 0.3, 1.0])
def test_noise_is_that_of_the_values(precision, factor):
    values = drawn(1)
    range_ = factor * float(np.abs(values).max())
    (found,) = ranges.noise(histogram(values), EDGES, np.array([range_]), precision)
    np.testing.assert_allclose(found, error_of(values, range_, precision), rtol=0.06, equal_nan=False)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-3, 1e3), st.sampled_from(QUANTISED))
def test_mse_is_as_good_as_the_best_of_a_search(seed, scale, precision):
    values = drawn(seed, scale, 4000)
    largest = float(np.abs(values).max())
    found = ranges.choose(histogram(values), EDGES, largest, "mse", precision)
    assert 0 < found <= largest
    best = min(error_of(values, factor * largest, precision) for factor in np.linspace(0.1, 1, 60))
    assert error_of(values, found, precision) <= 1.1 * best


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_a_percentile_is_numpys(seed, scale):
    values = np.abs(drawn(seed, scale))
    largest = float(values.max())
    found = ranges.choose(histogram(values), EDGES, largest, "percentile", "int8")
    wanted = np.quantile(values, [ranges.SHARE - 1e-4, ranges.SHARE, 1])
    assert wanted[0] * 31 / 32 <= found <= min(largest, wanted[2] * 33 / 32)
    np.testing.assert_allclose(ranges.percentile(histogram(values), EDGES, 0.9), np.quantile(values, 0.9), rtol=0.04)


@pytest.mark.parametrize("method", ranges.METHODS)
def test_values_of_one_magnitude_keep_it(method):
    found = ranges.choose(histogram(np.full(1000, -3.0)), EDGES, 3.0, method, "int8")
    np.testing.assert_allclose(found, 3.0, rtol=0.04, equal_nan=False)
    assert found <= 3.0


def test_outliers_are_clipped_in_int8_and_not_in_fp8():
    values = np.append(drawn(3, size=200_000), np.float32(60))
    chosen = {p: ranges.choose(histogram(values), EDGES, 60.0, "mse", p) for p in QUANTISED}
    assert chosen["int8"] < 40 < chosen["fp8"]


def test_what_has_no_range():
    nothing = histogram(np.zeros(9))
    assert [ranges.choose(nothing, EDGES, 0.0, method, "int8") for method in ranges.METHODS] == [0, 0]
    assert ranges.problem(0.0, "int8") == "its input is always zero"
    assert "1e-06, is too small for a scale in float16" in ranges.problem(1e-6, "fp8")
    assert not ranges.problem(1.0, "fp8")


@given(st.floats(1e-8, 1e-2), st.sampled_from(QUANTISED))
def test_a_range_that_can_be_used_keeps_its_scale_in_float16(range_, precision):
    if not ranges.problem(range_, precision):
        found = float(scale(range_, precision))
        assert found == float(np.float16(found))
        assert range_ / LARGEST[precision] <= found <= 17 / 16 * range_ / LARGEST[precision]


def test_power_is_the_mean_square():
    values = drawn(5)
    np.testing.assert_allclose(ranges.power(histogram(values), EDGES), np.mean(values**2), rtol=1e-3, equal_nan=False)
