"""What stage gpu-fp8 checks: a quantised engine in turns with float16's, and the layer that prevents more."""

from pathlib import Path
from typing import Any

import clock
import fp8_engines
import fp8_layers
import machine
import trt_step
import xl2
from bench_steps import accepted
from fp8_engines import NOT_QUANTISED, PX
from stages import Failed

from fdcn.export.models.flowdcn.architecture import REACH

SAME = {NOT_QUANTISED: xl2.SAME[NOT_QUANTISED], "fp8": 0.99, "int8": 0.99}
"""Least cosine to the network in float32."""
WANTED = {("fp8", 8): 1.35}
"""How many times as fast as float16, by precision and pictures; nothing is wanted of the others."""
REPEATS = 50


def step(work: Path, precision: str, pictures: int) -> dict[str, Any]:
    """A guided step of so many pictures in a quantised precision and in float16. Raises Failed with the layer."""
    told = measured(work, precision, 2 * pictures)
    wanted = WANTED.get((precision, pictures))
    if wanted is None:
        return told
    try:
        return accepted(told, speedup=(wanted, 100.0))
    except Failed as failure:
        rows = fp8_layers.behind(told["by_role"][NOT_QUANTISED], told["by_role"][precision], wanted)
        named = fp8_layers.sentence(rows[0], sum(told["by_role"][precision].values()))
        raise Failed(f"{failure}: {named}", failure.numbers | {"behind": rows}) from failure


def measured(work: Path, precision: str, rows: int) -> dict[str, Any]:
    """Seconds of both, in turns, and of their layers."""
    given = xl2.subject(work, PX, rows)
    steps = {name: trt_step.Step(fp8_engines.engine(work, name)) for name in (NOT_QUANTISED, precision)}
    calls = {name: engine.bind(given.ahead) for name, engine in steps.items()}
    cosines = {name: xl2.cosine(call(), given.wanted) for name, call in calls.items()}
    wrong = {name: cosine for name, cosine in cosines.items() if not cosine >= SAME[name]}
    assert not wrong, f"an engine computes something else: cosines {wrong}"
    given.reach(REACH)
    taken = clock.interleaved(calls, "cuda", REPEATS)
    seconds = {name: machine.summary(samples) for name, samples in taken.items()}
    known = fp8_layers.roles(xl2.place(work).bundle("FlowDCN", PX))
    by_role, longest = {}, {}
    for name, engine in steps.items():
        layers, made_of = engine.layer_seconds(calls[name], 20), engine.made_of()
        by_role[name] = fp8_layers.seconds(layers, made_of, known)
        longest[name] = fp8_layers.longest(layers, made_of)
    return {
        "rows": rows,
        "cosine": cosines,
        "seconds": seconds,
        "speedup": seconds[NOT_QUANTISED]["median"] / seconds[precision]["median"],
        "by_role": by_role,
        "longest": longest,
    }
