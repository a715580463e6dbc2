"""The sampler's numbers, from `data/solvers.json` and `data/neural_solver.json`; and a model that both runtimes run.

Python's own library alone: `cpp/generate.py` writes the C++ runtime's tables from here on machines without NumPy.
"""

import functools
import json
import math
from importlib import resources
from typing import Any, NamedTuple


class Multistep(NamedTuple):
    """A linear multi-step solver: the length of each step, and the weights of the last outputs, newest first."""

    lengths: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]


class Discretisation(NamedTuple):
    """What a step of an SDE adds for the score, and for noise; see `solvers.Diffusion`."""

    drift: float
    noise: float


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files("fdcn.data").joinpath(name).read_text("utf-8"))
    return content


_NUMBERS = _read("solvers.json")

ADAMS_BASHFORTH = {
    int(order): tuple(n / row["denominator"] for n in row["numerators"])
    for order, row in _NUMBERS["adams_bashforth"].items()
}
"""Weights of the last outputs, newest first, by order."""
DIFFUSIONS = {
    suffix: Discretisation(row["drift"], math.sqrt(row["variance"])) for suffix, row in _NUMBERS["diffusions"].items()
}
"""By what they add to the name of a solver: none is the ODE."""
ONE_STEP = tuple(method + suffix for method in _NUMBERS["one_step"] for suffix in DIFFUSIONS)
"""Names of the solvers whose last step may have a length of its own."""
SOLVERS = (*ONE_STEP, *_NUMBERS["multi_step"])
"""Every solver's name."""
S_MAX_UNTIL: float = _NUMBERS["s_max"]["until"]
"""Flow time from which the reach is the trained one."""
OUTER_BLOCKS: int = _NUMBERS["s_max"]["outer_blocks"]
"""Blocks at either end, plus one at the start, that the S_max rule leaves alone."""
ALLOWANCE: float = _NUMBERS["plan"]["allowance"]
"""How far outside a guidance interval or step group a time may lie and still count: grids are not exact."""
MAX_STEPS: int = _NUMBERS["plan"]["max_steps"]
IMAGES_AT_MOST: int = _NUMBERS["request"]["images_at_most"]
"""Of one request."""
EVERY_CLASS_UP_TO: int = _NUMBERS["request"]["every_class_up_to"]
"""A model of at most so many classes shows each once by default."""
NEAREST: int = _NUMBERS["request"]["nearest"]
"""How many classes are named where one is not known,"""
CUTOFF: float = _NUMBERS["request"]["cutoff"]
"""from this likeness on."""
TOKENS_AT_ONCE: int = _NUMBERS["host"]["tokens_at_once"]
"""Images are sampled together until an evaluation has so many tokens: more gains nothing on a CPU."""
CONDITIONING_BYTES: int = _NUMBERS["host"]["conditioning_bytes"]
"""Of modulations held at a time on the host: a quarter for what the conditioner has just made, the rest for slots."""
LARGE_RUN_BYTES: int = _NUMBERS["host"]["large_run_bytes"]
"""In C++ what the runs of a sampling on the host took is given back after it from this on; less is kept."""
INTEGER_PRODUCT = (
    b'\x08\x08:>\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01g'
    b"Z\t\n\x01a\x12\x04\n\x02\x08\x02Z\t\n\x01b\x12\x04\n\x02\x08\x03b\t\n\x01y\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\n"
)
"""An ONNX model, y = MatMulInteger (opset 10) of a, uint8, and b, int8, of any shapes; neither runtime has ONNX."""


@functools.cache
def neural() -> dict[int, Multistep]:
    """The searched solvers of the FlowDCN release (NeuralSolver), by their number of steps."""
    return {int(name.removeprefix("step")): _searched(table) for name, table in _read("neural_solver.json").items()}


def _searched(table: dict[str, Any]) -> Multistep:
    """A released table, whose rows lack the weight of the newest output: all of them sum to 1.

    `fsum` rounds once, so that every Python, whose `sum` differs, gives the same weights.
    """
    older = [row[:i] for i, row in enumerate(table["coeffs"])]
    weights = tuple((1 - math.fsum(row), *reversed(row)) for row in older)
    return Multistep(tuple(table["timedeltas"]), weights)
