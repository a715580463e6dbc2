"""The sampler as a table: one row an evaluation of the network, whatever the solver, guidance or size."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fdcn.bundle import StepGroup
from fdcn.runtime.s_max import s_max
from fdcn.runtime.solvers import evaluations
from fdcn.runtime.tables import ALLOWANCE


@dataclasses.dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance: out = null + scale·(class - null), for times in `interval` (inclusive).

    With `channels` 3, only the first three are guided (DiT's way) and the rest is the class's output.
    """

    scale: float = 4.0
    channels: Literal["all", "3"] = "all"
    interval: tuple[float, float] = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Pass:
    """One run of a graph: for the class or for the null class, and its weights in the output."""

    graph: str
    conditional: bool
    guided: np.float32
    """Weight on the guided channels."""
    rest: np.float32
    """Weight on the others."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One evaluation. Coefficients are over (base, point, last m outputs newest first, two fresh normals)."""

    t: np.float32
    passes: tuple[Pass, ...]
    s_max: np.ndarray
    """float32 [blocks, 2]."""
    base: np.ndarray
    """float32 [m + 4]: the next base."""
    point: np.ndarray
    """float32 [m + 4]: the next point; the last row's is the result."""
    predicted: np.ndarray
    """float32 [2]: the final picture that this evaluation predicts, over (point, output)."""


@dataclasses.dataclass(frozen=True)
class SamplerPlan:
    """A whole trajectory. `history` is m; `guided_channels` is None where one weight serves all channels."""

    rows: tuple[Row, ...]
    history: int
    guided_channels: int | None


def sampler_plan(
    solver: str,
    steps: int,
    *,
    blocks: int,
    last_step: float | None = None,
    guidance: Guidance | None = None,
    reach: float = 6.0,
    stretch: tuple[float, float] = (1.0, 1.0),
    step_groups: Sequence[StepGroup] = (),
) -> SamplerPlan:
    """Build the table of a flow-matching sampler.

    `stretch` is the token grid's (width, height) over the training grid's, (1, 1) for no S_max adjustment.
    `step_groups` are those of the engine that is to run it: which graph evaluates which steps.
    Raises FdcnError for impossible steps (see `solvers.evaluations`).
    """
    guidance = guidance or Guidance()
    table = evaluations(solver, steps, last_step)
    rows = tuple(
        Row(
            t=np.float32(e.t),
            passes=_passes(guidance, e.t, graph_at(e.t, step_groups)),
            s_max=s_max(e.t, blocks, reach, stretch),
            base=e.base.astype(np.float32),
            point=e.point.astype(np.float32),
            # x_t + (1 - t)·v: where the flow would end if it went straight on.
            predicted=np.array([1.0, 1.0 - e.t], np.float32),
        )
        for e in table
    )
    return SamplerPlan(rows, len(table[0].base) - 4, None if guidance.channels == "all" else 3)


def graph_at(t: float, step_groups: Sequence[StepGroup] = ()) -> str:
    """The graph that evaluates a time in [0, 1]: that of the first group that it is in."""
    return next((group.graph for group in step_groups if t <= group.until + ALLOWANCE), "denoiser")


def _passes(guidance: Guidance, t: float, graph: str) -> tuple[Pass, ...]:
    low, high = guidance.interval
    g = guidance.scale
    if g == 1 or not low - ALLOWANCE <= t <= high + ALLOWANCE:
        return (_pass(graph, True, 1.0, 1.0),)
    if guidance.channels == "3":
        return _pass(graph, False, 1 - g, 0.0), _pass(graph, True, g, 1.0)
    return _pass(graph, False, 1 - g, 1 - g), _pass(graph, True, g, g)


def _pass(graph: str, conditional: bool, guided: float, rest: float) -> Pass:
    return Pass(graph, conditional, np.float32(guided), np.float32(rest))
