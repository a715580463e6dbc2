"""Groups of steps, against trying every way to cut the times."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.calib import drift, ranges
from fdcn.calib.layers import Layer
from fdcn.calib.statistics import bin_edges, histogram


def layer(magnitudes, seed=0, name="a"):
    """A layer whose values are normal, with a magnitude at each time."""
    values = np.random.default_rng(seed).standard_normal((len(magnitudes), 400)) * np.reshape(magnitudes, (-1, 1))
    counts = np.stack([histogram(some) for some in values.astype(np.float32)])
    return Layer(name, (name,), counts, np.abs(values).max(1), None)


def loss(layers, groups):
    """What a grouping costs, layer by layer and group by group."""
    edges, total = bin_edges(), 0.0
    for each in layers:
        candidates = ranges.candidates_below(edges, float(each.largest.max()))
        relative = ranges.noise(each.counts, edges, candidates, "int8") / ranges.power(each.counts, edges)[:, None]
        total += sum(relative[group].sum(0).min() for group in groups)
    return total


def every_cut(times, count):
    for cut in itertools.combinations(range(1, times), count - 1):
        yield [slice(a, b) for a, b in itertools.pairwise([0, *cut, times])]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), st.integers(0, 2**32))
def test_no_cut_is_better(magnitudes, seed):
    layers = [layer(magnitudes, seed), layer(magnitudes[::-1], seed + 1)]
    found = drift.groupings(layers, "int8")
    assert [len(groups) for groups in found] == [*range(2, min(drift.MOST_GROUPS, len(magnitudes)) + 1)]
    for groups in found:
        assert [i for group in groups for i in range(len(magnitudes))[group]] == [*range(len(magnitudes))]
        best = min(loss(layers, each) for each in every_cut(len(magnitudes), len(groups)))
        np.testing.assert_allclose(loss(layers, groups), best, rtol=1e-9, equal_nan=False)


def test_a_jump_is_found():
    two, *_ = drift.groupings([layer([1, 1.1, 0.9, 12, 11])], "int8")
    assert two == [slice(0, 3), slice(3, 5)]
    times = np.array([0, 0.1, 0.25, 0.5, 0.75])
    assert drift.untils(two, times) == [0.375, 1.0]
    assert drift.untils([slice(0, 5)], times) == [1.0]


def test_layers_that_are_zero_have_no_say():
    moving, still = layer([1, 1, 9]), layer([0, 0, 0])
    assert drift.groupings([moving, still], "fp8") == drift.groupings([moving], "fp8")


def test_drift_is_a_ratio():
    assert drift.drift(np.array([2.0, 0.0, 3.0])) == 1.5
    assert drift.drift(np.zeros(3)) == 1.0
