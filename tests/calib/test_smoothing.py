"""SmoothQuant: what migration does to a product, against doing it by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.calib import layers, smoothing
from fdcn.calib.statistics import Measured
from fdcn.export.scales import rounded, scale


def measured(x, name="a"):
    """What is known of x [T, n, K], and the same as rows."""
    found = Measured.empty([name], len(x), x.shape[-1])
    assert all(found.add(i, some) for i, some in enumerate(x))
    return found


def uneven(seed, k=16, times=3):
    """Values [T, n, K] whose channels' magnitudes differ by up to a hundred times, and a weight [K, N]."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((times, 64, k)) * np.logspace(-1, 1, k)
    return x.astype(np.float32), rng.standard_normal((k, 24)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(smoothing.ALPHAS))
def test_factors_are_equation_4(seed, alpha):
    x, weight = uneven(seed)
    other = np.random.default_rng(seed).standard_normal((16, 3)).astype(np.float32)
    largest = np.abs(x).max((0, 1))
    found = smoothing.factors(largest, [weight, other], alpha)
    by_hand = largest**alpha / np.abs(np.hstack([weight, other])).max(1) ** (1 - alpha)
    np.testing.assert_allclose(found / found[0], by_hand / by_hand[0], rtol=1e-4, equal_nan=False)
    np.testing.assert_allclose(np.exp(np.log(found).mean()), 1, rtol=1e-4, equal_nan=False)


def test_channels_that_are_never_used_stay():
    largest, weight = np.float32([0, 2, 3, 4]), np.ones((4, 2), np.float32)
    weight[2] = 0
    found = smoothing.factors(largest, [weight], 0.5)
    assert found[0] == found[2] == 1
    assert np.isfinite(found).all()
    assert (found > 0).all()
    np.testing.assert_array_equal(smoothing.factors(np.zeros(4, np.float32), [weight], 0.5), np.ones(4))


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_output_error_is_of_the_product(precision):
    x, weight = uneven(2)
    factors = np.linspace(0.5, 2, 16, dtype=np.float32)
    layer = layers.migrated(measured(x), x, factors)
    rows = x.reshape(-1, 16)
    found = smoothing.output_error(layer, rows, [weight], "mse", precision)
    inputs = rounded(rows / factors, scale(layer.range("mse", precision), precision), precision)
    weights = [
        rounded(column, scale(np.abs(column).max(), precision), precision) for column in (weight.T * factors)
    ]  # a column at a time
    difference = inputs @ np.stack(weights, axis=1) - rows @ weight
    wanted = np.square(difference).sum() / np.square(rows @ weight).sum()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, equal_nan=False)


def test_migration_helps_int8_and_is_left_out_where_it_does_not():
    both = {f"l{i}": uneven(i) for i in range(3)}
    role = [measured(x, name) for name, (x, _) in both.items()]
    rows, weights = ({name: pair[i] for name, pair in both.items()} for i in (0, 1))
    found, alpha, gain = smoothing.search(role, rows, weights, "mse", "int8")
    assert alpha in smoothing.ALPHAS
    assert gain >= 3
    assert all(layer.migration is not None for layer in found)
    for layer in found:
        np.testing.assert_allclose(layer.largest, np.abs(rows[layer.name] / layer.migration).max((1, 2)), rtol=1e-6)
    rng = np.random.default_rng(9)
    even = {name: rng.uniform(-1, 1, x.shape).astype(np.float32) for name, x in rows.items()}
    flat = [measured(x, name) for name, x in even.items()]
    found, alpha, gain = smoothing.search(flat, even, weights, "mse", "int8")
    assert (alpha, gain) == (None, 0)
    assert all(layer.migration is None for layer in found)


def test_a_layer_that_is_always_zero_has_no_say():
    x, weight = uneven(4)
    nothing = np.zeros_like(x)
    role = [measured(x, "a"), measured(nothing, "b")]
    found, alpha, _ = smoothing.search(role, {"a": x, "b": nothing}, {"a": weight, "b": weight}, "mse", "int8")
    assert alpha is not None
    assert found[1].range("mse", "int8") == 0


def test_an_outlier_that_no_row_holds_is_not_forgotten():
    x, _ = uneven(6)
    seen = measured(x)
    seen.add(0, np.full((1, 16), 40, np.float32))
    layer = layers.migrated(seen, x, np.ones(16, np.float32))
    assert layer.largest[0] == 40
    assert layer.counts[0].sum() == x[0].size + 1
