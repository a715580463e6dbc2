"""FlowDCN's solvers as tables: every one is linear in the state, the network's outputs and the noise.

A flow runs from noise at t = 0 to data at t = 1 with x_t = t·data + (1 - t)·noise, so the velocity v gives the score
s = (t·v - x) / (1 - t), and the diffusion weight is w = 1 - t (arXiv 2410.22655, section 3.4; SiT, arXiv 2401.08740).
A solver is a list of `Evaluation`s; the rows are vectors over the basis

    base, point, v_0 … v_(m-1), n_0, n_1

of the carried state, the point just evaluated, the last m outputs (newest first) and two fresh normals. All
arithmetic is float64. `plan.py` makes the final table of them.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime import tables
from fdcn.runtime.tables import ADAMS_BASHFORTH, MAX_STEPS, SOLVERS

Vector = np.ndarray
"""Coefficients over the basis, float64 [m + 4]."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of the network at time t, the state to carry on, and the next point to evaluate."""

    t: float
    base: Vector
    point: Vector


class Basis:
    """Unit vectors of a table with m outputs of history."""

    def __init__(self, history: int) -> None:
        unit = np.eye(history + 4)
        self.base, self.point = unit[0], unit[1]
        self.v = unit[2 : 2 + history]
        self.n = unit[2 + history :]


class Diffusion:
    """One way to step from a point: an ODE step, or one of the SDE's three discretisations.

    A step of length dt adds v·dt, `drift`·s·w·dt of the score s and `noise`·√(w·dt) of a fresh normal.
    """

    def __init__(self, drift: float, noise: float) -> None:
        self.drift, self.noise = drift, noise

    def slope(self, v: Vector, x: Vector, t: float, w: float) -> Vector:
        """What dt is multiplied with, where the network gave v at x and time t."""
        if self.drift == 0:
            return v
        return v + self.drift * w * (t * v - x) / (1 - t)

    def spread(self, n: Vector, dt: float, w: float) -> Vector:
        return self.noise * math.sqrt(w * dt) * n


_DIFFUSIONS = {suffix: Diffusion(drift, noise) for suffix, (drift, noise) in tables.DIFFUSIONS.items()}
ODE = _DIFFUSIONS[""]


def euler(steps: int, last_step: float, diffusion: Diffusion) -> list[Evaluation]:
    """Euler or Euler-Maruyama; the last step is an ODE step. N evaluations, m = 1."""
    b = Basis(1)
    times, lengths = _grid(steps, last_step)
    rows = []
    for i, (t, dt) in enumerate(zip(times, lengths, strict=True)):
        how = ODE if i == steps - 1 else diffusion
        following = b.base + dt * how.slope(b.v[0], b.base, t, 1 - t) + how.spread(b.n[0], dt, 1 - t)
        rows.append(Evaluation(t, following, following))
    return rows


def heun_exact(steps: int, last_step: float, diffusion: Diffusion) -> list[Evaluation]:
    """Heun's method, two evaluations a step and an Euler step at the end: 2N - 1 evaluations, m = 1.

    The base that the predictor leaves already holds half of its slope. The corrector draws a normal of its own.
    """
    b = Basis(1)
    times, lengths = _grid(steps, last_step)
    rows = []
    for t, dt, following in zip(times[:-1], lengths[:-1], times[1:], strict=True):
        w = 1 - t
        slope = diffusion.slope(b.v[0], b.base, t, w)
        predicted = b.base + dt * slope + diffusion.spread(b.n[0], dt, w)
        rows.append(Evaluation(t, b.base + dt / 2 * slope, predicted))
        # At the predicted point and the new time, but with the old time's w: as the released code has it.
        slope = diffusion.slope(b.v[0], b.point, following, w)
        corrected = b.base + dt / 2 * slope + diffusion.spread(b.n[0], dt, w)
        rows.append(Evaluation(following, corrected, corrected))
    final = b.base + lengths[-1] * b.v[0]
    return [*rows, Evaluation(times[-1], final, final)]


def heun(steps: int, last_step: float, diffusion: Diffusion) -> list[Evaluation]:
    """Heun's method with the corrector's output used again as the next predictor: N evaluations, m = 1."""
    b = Basis(1)
    times, lengths = _grid(steps, last_step)
    rows = []
    for i, (t, dt) in enumerate(zip(times, lengths, strict=True)):
        state, at = b.base, b.base
        if i > 0:
            # This output corrects the step that led here, with that step's w, and predicts the next.
            at, before, length = b.point, 1 - times[i - 1], lengths[i - 1]
            state = (
                state + length / 2 * diffusion.slope(b.v[0], at, t, before) + diffusion.spread(b.n[0], length, before)
            )
        if i == steps - 1:
            final = state + dt * b.v[0]
            rows.append(Evaluation(t, final, final))
            break
        slope = diffusion.slope(b.v[0], at, t, 1 - t)
        predicted = state + dt * slope + diffusion.spread(b.n[1], dt, 1 - t)
        rows.append(Evaluation(t, state + dt / 2 * slope, predicted))
    return rows


def adams(steps: int, order: int) -> list[Evaluation]:
    """Adams-Bashforth of an order, on a uniform grid, with lower orders to start it. N evaluations, m = order."""
    weights = [ADAMS_BASHFORTH[min(order, i + 1)] for i in range(steps)]
    return _multistep([1 / steps] * steps, weights, order)


def neural(steps: int) -> list[Evaluation]:
    """The searched multi-step solver of the FlowDCN release (NeuralSolver). N evaluations, m = N."""
    table = tables.neural()[steps]
    return _multistep(table.lengths, table.weights, steps)


def _multistep(lengths: Sequence[float], weights: Sequence[Sequence[float]], history: int) -> list[Evaluation]:
    """Linear multi-step rows; the last one goes all the way to t = 1, whatever the lengths sum to."""
    b = Basis(history)
    rows, t = [], 0.0
    for i, (dt, row) in enumerate(zip(lengths, weights, strict=True)):
        length = 1 - t if i == len(lengths) - 1 else dt
        following = b.base + length * sum(c * v for c, v in zip(row, b.v, strict=False))
        rows.append(Evaluation(t, following, following))
        t += dt
    return rows


def _grid(steps: int, last_step: float) -> tuple[list[float], list[float]]:
    """Evaluation times from 0 to 1 - last_step, evenly, and the lengths of the steps from them."""
    if steps == 1:
        return [0.0], [1.0]
    dt = (1 - last_step) / (steps - 1)
    return [i * dt for i in range(steps)], [dt] * (steps - 1) + [last_step]


Build = Callable[[int, float], list[Evaluation]]


def _one_step(method: Callable[[int, float, Diffusion], list[Evaluation]], diffusion: Diffusion) -> Build:
    return lambda steps, last_step: method(steps, last_step, diffusion)


_ONE_STEP: dict[str, Build] = {
    name + suffix: _one_step(method, diffusion)
    for name, method in {"euler": euler, "heun": heun, "heun-exact": heun_exact}.items()
    for suffix, diffusion in _DIFFUSIONS.items()
}
_MULTI_STEP: dict[str, Build] = {
    "adams2": lambda steps, _: adams(steps, 2),
    "adams3": lambda steps, _: adams(steps, 3),
    "adams4": lambda steps, _: adams(steps, 4),
    "neural": lambda steps, _: neural(steps),
}
_SOLVERS = {**_ONE_STEP, **_MULTI_STEP}


def evaluations(solver: str, steps: int, last_step: float | None = None) -> list[Evaluation]:
    """The table of a solver.

    `last_step` in (0, 1) is the length of the last step of Euler and Heun, 1/steps when None; with one step it is 1.
    Raises FdcnError for an unknown solver, for steps that it does not have, and for a last step where it has none.
    """
    check_solver(solver)
    if solver == "neural" and steps not in tables.neural():
        raise FdcnError(say("solver.neural_steps", tables=_spoken(sorted(tables.neural())), steps=steps))
    if not 1 <= steps <= MAX_STEPS:
        raise FdcnError(say("solver.steps", solver=solver, most=MAX_STEPS, steps=steps))
    if last_step is not None:
        if solver not in _ONE_STEP:
            raise FdcnError(say("solver.no_last_step", solver=solver))
        if not 0 < last_step < 1:
            raise FdcnError(say("solver.last_step", last_step=last_step))
    return _SOLVERS[solver](steps, 1 / steps if last_step is None else last_step)


def check_solver(name: str) -> None:
    """Raise FdcnError, with every name, where a solver does not exist."""
    if name not in SOLVERS:
        raise FdcnError(say("solver.unknown", solver=repr(name), solvers=", ".join(SOLVERS)))


def _spoken(numbers: list[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
