"""Solvers: convergence orders, multistep conditions, and what the SDE variants do to a Gaussian."""

import math

import numpy as np
import pytest

from fdcn.errors import FdcnError
from fdcn.runtime.advance import State
from fdcn.runtime.plan import Guidance, sampler_plan
from fdcn.runtime.solvers import ADAMS_BASHFORTH, SOLVERS, evaluations

ODE_ORDERS = {"euler": 1, "heun": 2, "heun-exact": 2, "adams2": 2, "adams3": 2, "adams4": 2}
"""Adams of order 3 and 4 start with lower orders, whose first step leaves an error of second order."""


def solve(solver, steps, velocity, start=1.0, normals=0, last_step=None):
    """Run a plan on dx/dt = velocity(x, t). A state is a vector: a number, then its part of each fresh normal."""
    plan = sampler_plan(solver, steps, blocks=1, guidance=Guidance(1.0), last_step=last_step)
    x = np.zeros((1, 1, 1, 1 + normals))
    x[..., 0] = start
    state, used = State(plan, x), 0

    def normal(draw):
        nonlocal used
        used += 1
        unit = np.zeros_like(x)
        unit[..., used] = 1
        return unit

    for row in plan.rows:
        state.advance(row, [velocity(state.point, float(row.t))], normal)
    return state.point.ravel()


@pytest.mark.parametrize("solver", ODE_ORDERS)
def test_order_on_exponential_decay(solver):
    error = {n: abs(solve(solver, n, lambda x, t: -x)[0] - math.exp(-1)) for n in (16, 32)}
    assert math.log2(error[16] / error[32]) == pytest.approx(ODE_ORDERS[solver], abs=0.2)


@pytest.mark.parametrize("steps", [5, 6, 7, 8, 9, 10, 15])
def test_neural_solver_is_exact_for_a_constant_velocity_and_close_for_decay(steps):
    assert solve("neural", steps, lambda x, t: np.ones_like(x))[0] == pytest.approx(2.0, abs=2e-3)
    assert solve("neural", steps, lambda x, t: -x)[0] == pytest.approx(math.exp(-1), abs=0.03)


@pytest.mark.parametrize("order", ADAMS_BASHFORTH)
def test_adams_bashforth_weights_integrate_polynomials(order):
    weights = ADAMS_BASHFORTH[order]
    for power in range(order):
        assert sum(c * (-j) ** power for j, c in enumerate(weights)) == pytest.approx(1 / (power + 1))


@pytest.mark.parametrize("method", ["euler", "heun", "heun-exact"])
@pytest.mark.parametrize(("variant", "keeps"), [("-sde", True), ("-sde-preserve", True), ("-sde-mean", False)])
def test_sde_variants_on_a_gaussian(method, variant, keeps):
    """Data N(0, s²) has a linear velocity: the variance of the result follows exactly from the coefficients.

    Both SDEs keep the marginals, so it must come out as s²; the mean-only variant drops the noise and must not.
    """
    s, steps = 0.7, 400

    def velocity(x, t):
        return (t * s**2 - (1 - t)) / (t**2 * s**2 + (1 - t) ** 2) * x

    coefficients = solve(method + variant, steps, velocity, normals=2 * steps, last_step=0.002)
    variance = float(np.sum(coefficients**2))
    assert (abs(variance / s**2 - 1) < 0.03) == keeps


@pytest.mark.parametrize("solver", SOLVERS)
def test_evaluation_counts_and_times(solver):
    steps = 6
    rows = evaluations(solver, steps)
    assert len(rows) == (2 * steps - 1 if solver.startswith("heun-exact") else steps)
    times = [row.t for row in rows]
    assert times[0] == 0
    assert times == sorted(times)
    assert times[-1] < 1
    assert all(np.isfinite(row.base).all() and np.isfinite(row.point).all() for row in rows)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_takes_a_straight_line_to_its_end(solver):
    """A constant velocity is a straight line; an ODE step of any length must stay on it."""
    if "sde" in solver:
        pytest.skip("the score term bends the line")
    assert solve(solver, 7, lambda x, t: np.full_like(x, 3.0))[0] == pytest.approx(4.0, abs=5e-3)


def test_one_step_goes_all_the_way():
    for solver in ("euler", "heun", "heun-exact"):
        assert solve(solver, 1, lambda x, t: np.ones_like(x))[0] == 2.0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("neural", 4), "5, 6, 7, 8, 9, 10 or 15"),
        (("euler", 0), "1 to"),
        (("eulr", 5), "euler"),
        (("adams2", 5, 0.1), "--last-step"),
        (("euler", 5, 1.0), "between 0 and 1"),
        (("euler", 5, math.nan), "between 0 and 1"),
    ],
)
def test_impossible_requests(arguments, says):
    with pytest.raises(FdcnError, match=says):
        evaluations(*arguments)
