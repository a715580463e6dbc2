"""Plans: guidance, intervals, the S_max rule, and the routine that advances them."""

import numpy as np
import pytest

from fdcn.runtime.advance import State
from fdcn.runtime.plan import Guidance, sampler_plan
from fdcn.runtime.s_max import adjusted_blocks, s_max


def outputs(rows, channels=4, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, 2, 1, channels, 2, 3)).astype(np.float32)


def weighted(plan, r, values):
    """What the plan makes of a row's outputs."""
    row = plan.rows[r]
    return State(plan, values[0]).advance(row, values[: len(row.passes)], lambda draw: values[0])


def test_guidance_is_null_plus_scale_times_difference():
    plan = sampler_plan("euler", 2, blocks=1, guidance=Guidance(2.5))
    null, cond = outputs(1)[0]
    np.testing.assert_allclose(weighted(plan, 0, [null, cond]), null + 2.5 * (cond - null), rtol=0, atol=1e-5)
    assert [run.conditional for run in plan.rows[0].passes] == [False, True]


def test_three_channel_guidance_leaves_the_rest_to_the_class():
    plan = sampler_plan("euler", 2, blocks=1, guidance=Guidance(2.5, "3"))
    null, cond = outputs(1)[0]
    got = weighted(plan, 0, [null, cond])
    np.testing.assert_allclose(got[:, :3], (null + 2.5 * (cond - null))[:, :3], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(got[:, 3:], cond[:, 3:])


def test_no_guidance_runs_the_class_alone():
    plan = sampler_plan("euler", 3, blocks=1, guidance=Guidance(1.0))
    assert all([run.conditional for run in row.passes] == [True] for row in plan.rows)


def test_interval_ends_count():
    # Times 0, 0.1, …, 0.9; in float64 0.3 and 0.7 are reached with rounding.
    plan = sampler_plan("adams2", 10, blocks=1, guidance=Guidance(3.0, interval=(0.3, 0.7)))
    assert [len(row.passes) for row in plan.rows] == [1, 1, 1, 2, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize(("t", "multiple"), [(0.0, 2.0), (0.15, 1.75), (0.3, 1.5), (0.6, 1.0), (0.9, 1.0)])
def test_s_max_multiples(t, multiple):
    got = s_max(t, 28, 6.0, (4.0, 1.5))
    inner = list(range(5, 24))
    assert list(adjusted_blocks(28)) == inner
    np.testing.assert_allclose(got[inner], [[6 * multiple, 6 * min(multiple, 1.5)]] * len(inner), rtol=1e-6)
    outer = np.delete(got, inner, 0)
    np.testing.assert_array_equal(outer, 6.0)


def test_s_max_never_shrinks_and_spares_small_models():
    np.testing.assert_array_equal(s_max(0.0, 28, 6.0, (0.5, 0.25)), 6.0)
    np.testing.assert_array_equal(s_max(0.0, 9, 6.0, (4.0, 4.0)), 6.0)
    assert (s_max(0.0, 10, 6.0, (2.0, 2.0)) > 6).any()


def test_a_zero_coefficient_reads_nothing():
    plan = sampler_plan("adams4", 6, blocks=1, guidance=Guidance(1.0))
    x = outputs(1)[0, 0]
    state = State(plan, x)

    def no_noise(draw):
        raise AssertionError("an ODE draws no noise")

    for row in plan.rows:  # the first rows have an empty history
        state.advance(row, [x], no_noise)
    assert np.isfinite(state.point).all()


def test_rows_are_float32_and_predict_the_end():
    plan = sampler_plan("heun-sde", 5, blocks=3)
    for row in plan.rows:
        assert {row.base.dtype, row.point.dtype, row.s_max.dtype, row.predicted.dtype} == {np.dtype(np.float32)}
        np.testing.assert_allclose(row.predicted, [1, 1 - row.t], rtol=1e-6)
    assert plan.history == 1


def test_sde_heun_draws_both_normals_and_ode_none():
    drawn = []
    plan = sampler_plan("heun-sde", 3, blocks=1, guidance=Guidance(1.0))
    x = outputs(1)[0, 0]
    state = State(plan, x)
    for r, row in enumerate(plan.rows):
        state.advance(row, [x], lambda draw, r=r: drawn.append((r, draw)) or x)
    assert drawn == [(0, 1), (1, 0), (1, 1), (2, 0)]
