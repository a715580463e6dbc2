"""Plans: every bit of C++'s is Python's."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.bundle import StepGroup
from fdcn.errors import FdcnError
from fdcn.runtime.plan import Guidance, sampler_plan
from fdcn.runtime.solvers import SOLVERS, evaluations

NEURAL_STEPS = (5, 6, 7, 8, 9, 10, 15)
STRETCHES = [(1.0, 1.0), (4.0, 1.5), (0.5, 28 / 7.0)]
GROUPS = [[], [("denoiser", 0.3), ("denoiser-2", 0.7), ("denoiser-3", 1.0)]]
GUIDANCES = [
    Guidance(1.0),
    Guidance(2.5),
    Guidance(4.0, "3"),
    Guidance(3.0, interval=(0.3, 0.7)),
    Guidance(1e300, "3", (0.0, 0.5)),
    Guidance(-0.1, interval=(0.25, 0.25)),
]


def json_number(value):
    """A float as JSON, also where JSON has none."""
    return value if value is None or math.isfinite(value) else str(value)


def ask(parity, solver, steps, blocks, last_step, guidance, reach, stretch, groups):
    return parity(
        "plan",
        solver=solver,
        steps=steps,
        blocks=blocks,
        last_step=json_number(last_step),
        scale=guidance.scale,
        three_channels=guidance.channels == "3",
        interval=guidance.interval,
        reach=reach,
        stretch=stretch,
        step_groups=[{"graph": graph, "until": until} for graph, until in groups],
    )


def hexadecimal(*values):
    return np.array(values, np.float32).tobytes().hex()


def as_answer(plan):
    """A plan as `parity` writes it."""
    rows = [
        {
            "t": hexadecimal(row.t),
            "graph": row.passes[0].graph,
            "passes": "".join("c" if run.conditional else "n" for run in row.passes),
            "weights": hexadecimal(*(weight for run in row.passes for weight in (run.guided, run.rest))),
            "s_max": row.s_max.tobytes().hex(),
            "base": row.base.tobytes().hex(),
            "point": row.point.tobytes().hex(),
            "predicted": row.predicted.tobytes().hex(),
        }
        for row in plan.rows
    ]
    return {"rows": rows, "history": plan.history, "guided_channels": plan.guided_channels}


def assert_same(
    parity,
    solver,
    steps,
    blocks=11,
    last_step=None,
    guidance=GUIDANCES[1],
    reach=6.0,
    stretch=STRETCHES[0],
    groups=GROUPS[0],
):
    """Both make the same plan, or refuse it in the same words."""
    step_groups = [StepGroup(until, graph) for graph, until in groups]
    options = {"last_step": last_step, "guidance": guidance, "reach": reach, "stretch": stretch}
    try:
        # Weights beyond float32, and a last step that rounds to none.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            plan = sampler_plan(solver, steps, blocks=blocks, step_groups=step_groups, **options)
    except FdcnError as error:
        with pytest.raises(FdcnError) as refused:
            ask(parity, solver, steps, blocks, last_step, guidance, reach, stretch, groups)
        assert str(refused.value) == str(error)
    else:
        assert ask(parity, solver, steps, blocks, last_step, guidance, reach, stretch, groups) == as_answer(plan)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver(parity, solver):
    ends = (None, 0.04, 0.5, 0.999) if solver.startswith(("euler", "heun")) else (None,)
    all_steps = NEURAL_STEPS if solver == "neural" else (1, 2, 3, 4, 5, 7, 10, 25, 50, 100)
    for steps, last_step in itertools.product(all_steps, ends):
        assert_same(parity, solver, steps, last_step=last_step)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_mode(parity, solver):
    for blocks, guidance, stretch, groups in itertools.product((1, 9, 10, 28), GUIDANCES, STRETCHES, GROUPS):
        assert_same(parity, solver, 10, blocks, guidance=guidance, stretch=stretch, groups=groups)


@pytest.mark.parametrize("solver", SOLVERS)
def test_tables_are_equal_in_float64(parity, solver):
    for steps in NEURAL_STEPS:
        table = evaluations(solver, steps)
        wanted = np.concatenate([np.concatenate([[e.t], e.base, e.point]) for e in table])
        assert parity("evaluations", solver=solver, steps=steps, last_step=None) == wanted.tobytes().hex()


@pytest.mark.parametrize("solver", ["euler-sde", "adams4"])
def test_the_most_steps(parity, solver):
    assert_same(parity, solver, 10_000, blocks=2)


@pytest.mark.parametrize(
    ("solver", "steps", "last_step"),
    [
        ("neural", 4, None),
        ("neural", 11, None),
        ("neural", 10, 0.1),
        ("euler", 0, None),
        ("heun", -3, None),
        ("adams2", 10_001, None),
        ("adams2", 2**62, None),
        ("eulr", 5, None),
        ("", 5, None),
        ("it's\n", 5, None),
        ("adams3", 5, 0.1),
        ("euler", 5, 1.0),
        ("euler", 5, 0.0),
        ("heun-exact", 5, math.nan),
        ("heun-exact", 5, -math.inf),
        ("heun-sde", 5, 1e-17),
    ],
)
def test_impossible_steps(parity, solver, steps, last_step):
    assert_same(parity, solver, steps, last_step=last_step)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SOLVERS),
    st.integers(1, 30),
    st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.integers(1, 30),
    st.builds(
        Guidance,
        st.floats(-1e6, 1e6),
        st.sampled_from(["all", "3"]),
        st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).map(tuple),
    ),
    st.floats(0.1, 50),
    st.tuples(st.floats(0.1, 20), st.floats(0.1, 20)),
    st.lists(st.tuples(st.text("aé-2", max_size=3), st.floats(0, 1)), max_size=3),
)
def test_any_plan(parity, solver, steps, last_step, blocks, guidance, reach, stretch, groups):
    assert_same(parity, solver, steps, blocks, last_step, guidance, reach, stretch, groups)
