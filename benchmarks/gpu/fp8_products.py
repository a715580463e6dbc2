"""What the library's own products make possible: each of the network's in FP8, INT8 and float16, alone."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import clock
import fp8_engines
import limits
import torch
import trt_step
import xl2
from fp8_engines import NOT_QUANTISED, PX

from fdcn.export.models.flowdcn.architecture import REACH, Architecture

KEPT = ("embedding", "head")
"""What stays in high precision."""
REPEATS = 30


def products(work: Path, pictures: int) -> dict[str, Any]:
    """Seconds of each product alone, and how fast a step could be: float16's, with these products in theirs' place."""
    arch, rows = xl2.place(work).flowdcn, 2 * pictures
    tokens = rows * (PX // 16) ** 2
    given = xl2.subject(work, PX, rows)
    given.reach(REACH)
    call = trt_step.Step(fp8_engines.engine(work, NOT_QUANTISED)).bind(given.ahead)
    step = statistics.median(clock.interleaved({"step": call}, "cuda", REPEATS)["step"])
    seconds = {}
    for precision, make in {NOT_QUANTISED: half, "fp8": fp8, "int8": int8}.items():
        taken = clock.interleaved(make(arch, tokens, "cuda"), "cuda", REPEATS)
        seconds[precision] = limits.best({name: statistics.median(samples) for name, samples in taken.items()})
    return {"step_seconds": step, "product_seconds": seconds, "possible": possible(step, seconds)}


def possible(step: float, seconds: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """How many times as fast as in float16 a step is whose quantised products alone take another time."""
    half = seconds[NOT_QUANTISED]
    others = {precision: times for precision, times in seconds.items() if precision != NOT_QUANTISED}
    gains = {precision: sum(half[name] - times[name] for name in times) for precision, times in others.items()}
    return {precision: step / (step - gain) for precision, gain in gains.items()}


def half(arch: Architecture, tokens: int, device: str) -> dict[str, limits.Work]:
    """All products in float16, weights stored either way."""
    return limits.works(arch, tokens, torch.float16, device)


def fp8(arch: Architecture, tokens: int, device: str) -> dict[str, limits.Work]:
    """Those that are quantised, in E4M3 with a scale each for activations and weights, to float16."""
    one = torch.ones((), device=device)

    def multiply(x: torch.Tensor, weight: torch.Tensor) -> None:
        torch._scaled_mm(x, weight, scale_a=one, scale_b=one, out_dtype=torch.float16)

    return _works(arch, tokens, torch.float8_e4m3fn, device, multiply)


def int8(arch: Architecture, tokens: int, device: str) -> dict[str, limits.Work]:
    """The same in INT8, to 32-bit sums."""
    return _works(arch, tokens, torch.int8, device, lambda x, weight: torch._int_mm(x, weight))


def _works(arch: Architecture, tokens: int, dtype: torch.dtype, device: str, multiply: Any) -> dict[str, limits.Work]:
    made: dict[str, limits.Work] = {}
    for name, product in limits.products(arch).items():
        if name in KEPT:
            continue
        x = torch.randint(-8, 8, (tokens, product.inside), device=device).to(dtype)
        # The library wants the second factor's columns contiguous.
        stored = torch.randint(-8, 8, (product.count, product.columns, product.inside), device=device).to(dtype)

        def work(x: torch.Tensor = x, weights: torch.Tensor = stored.mT) -> None:
            for weight in weights:
                multiply(x, weight)

        made[name] = work
    return made
