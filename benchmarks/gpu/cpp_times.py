"""What stage gpu-cpp times: a picture from the call to its pixels, in C++ and in Python, in turns."""

import time
from pathlib import Path
from typing import Any

import cpp_program
import machine
from engine_sampler import BEHIND
from engine_timings import s2 as exported_s2
from shipped import built, load
from stages import Failed

from fdcn.bundle import Bundle
from fdcn.export.profiles import parse_profile
from fdcn.export.tensorrt_engine import build
from fdcn.export.tensorrt_target import Options
from fdcn.runtime.pipeline import Pipeline

MOST = 1.02
"""A C++ picture's time over a Python picture's."""
TURNS, RUNS = 6, 20
SHIPPED = (((28, 28), 1), ((56, 28), 4), ((84, 84), 4))
S2 = (((256, 256), 1), ((256, 256), 4), ((384, 192), 1))
S2_PROFILE = "128x128x1:256x256x2:512x512x8"


def shipped_model(work: Path) -> dict[str, Any]:
    """The shipped checkpoint: pictures of less than a millisecond's work a step, where what is outside counts most."""
    return times(work, built(work, "library", "float16")[0], SHIPPED, guidance=2.0)


def s2(work: Path) -> dict[str, Any]:
    """S/2 with random weights, in float16."""
    bundle = exported_s2(work / "s2")
    made = build(bundle, Options(precision="float16", plugin="library", profiles=(parse_profile(S2_PROFILE),)))
    return times(work, made.bundle, S2, guidance=4.0)


def times(
    work: Path, bundle: Bundle, shapes: tuple[tuple[tuple[int, int], int], ...], guidance: float
) -> dict[str, Any]:
    """Median seconds of every shape, and their ratio. Raises Failed where C++ takes too long."""
    numbers: dict[str, Any] = {}
    with Pipeline(bundle, load(bundle)) as pipe, cpp_program.opened(work, bundle) as program:
        for size, images in shapes:
            request = {"labels": list(range(images)), "size": size, "solver": "neural", "steps": 10}
            request["guidance"] = guidance
            for _ in range(2):  # the first goes row by row, and lets a graph be recorded
                pipe(**request)
                program.sample(request, pause=BEHIND)
            taken: dict[str, list[float]] = {"python": [], "cpp": []}
            for _ in range(TURNS):
                taken["python"] += [once(pipe, request) for _ in range(RUNS)]
                taken["cpp"] += program.sample(request, runs=RUNS)[2]
            seconds = {side: machine.summary(samples) for side, samples in taken.items()}
            ratio = seconds["cpp"]["median"] / seconds["python"]["median"]
            numbers[f"{size[0]}x{size[1]}, {images} pictures"] = {"seconds": seconds, "cpp_over_python": ratio}
    if slow := {
        shape: told["cpp_over_python"] for shape, told in numbers.items() if not told["cpp_over_python"] <= MOST
    }:
        raise Failed(f"C++ is slower than Python: {slow}", numbers)
    return numbers


def once(pipe: Pipeline, request: dict[str, Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    pipe(**request)
    return time.perf_counter() - start
