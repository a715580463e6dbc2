"""What stage gpu-bench checks of whole pictures, through fdcn's public API: XL/2 at 256 px, without a decoder."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import clock
import machine
import xl2
from bench_steps import accepted

PRECISION = "float16"
STEPS, GUIDANCE = 10, 4.0
REQUEST: dict[str, Any] = {"labels": [7], "solver": "neural", "steps": STEPS, "guidance": GUIDANCE}
PICTURE_SECONDS, OVERHEAD, NEW_SIZE_SECONDS, COLD_SECONDS = 10.5e-3, 0.02, 50e-3, 5.0
NEW_SIZES = ((384, 192), (192, 384), (320, 320))
REPEATS = 30
COLD = """
import sys, time
import fdcn
pipe = fdcn.load(sys.argv[1], device=0)
print("loaded", time.time())
pipe(labels=[7], solver="neural", steps=10, guidance=4.0)
print("sampled", time.time())
"""


def pictures(work: Path) -> dict[str, Any]:
    """Ten steps, from the call to the pixels, and what of that is not the denoiser."""
    pipe = opened(work, warmup=[(256, 256, 1)])
    given = xl2.subject(work, 256)
    _, call = xl2.bound(work, PRECISION, given)
    step = clock.stopwatch(call, "cuda")
    taken: dict[str, list[float]] = {"picture": [], "picture, left on the GPU": [], "step": []}
    for seed in range(-3, REPEATS):
        for name, on_device in (("picture", False), ("picture, left on the GPU", True)):
            seconds = once(pipe, seed=seed % 2**32, on_device=on_device)
            if seed >= 0:
                taken[name].append(seconds)
        taken["step"].append(step())
    seconds = {name: machine.summary(samples) for name, samples in taken.items()}
    picture, left, one = (seconds[name]["median"] for name in taken)
    numbers = {"seconds": seconds, "picture_seconds": picture, "overhead": 1 - STEPS * one / left}
    return accepted(numbers, picture_seconds=(0, PICTURE_SECONDS), overhead=(-OVERHEAD, OVERHEAD))


def new_resolution(work: Path) -> dict[str, Any]:
    """What the first picture of a size takes longer than the next ones."""
    pipe = opened(work, warmup=[(256, 256, 1)])
    once(pipe)
    extra, seconds = {}, {}
    for size in NEW_SIZES:
        first = once(pipe, size=size)
        once(pipe, size=size)
        time.sleep(1)  # whatever is prepared in the background
        later = [once(pipe, size=size) for _ in range(REPEATS)]
        seconds[f"{size[0]}x{size[1]}"] = {"first": first, "later": machine.summary(later)}
        extra[f"{size[0]}x{size[1]}"] = first - machine.summary(later)["median"]
    numbers = {"seconds": seconds, "new_size_seconds": max(extra.values())}
    return accepted(numbers, new_size_seconds=(-1, NEW_SIZE_SECONDS))


def cold_start(work: Path) -> dict[str, Any]:
    """A process from its start to its first picture."""
    bundle, _ = xl2.built(work, PRECISION)
    loaded, sampled = [], []
    for _ in range(4):
        start = time.time()
        words = [sys.executable, "-c", COLD, str(bundle.path)]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
        moments = {line.split()[0]: float(line.split()[1]) - start for line in lines}
        loaded.append(moments["loaded"])
        sampled.append(moments["sampled"])
    # The first one reads files that nothing has read since they were written or that fill this machine's memory.
    numbers = {"loaded": loaded, "sampled": sampled, "cold_seconds": machine.summary(sampled[1:])["median"]}
    return accepted(numbers, cold_seconds=(0, COLD_SECONDS))


def opened(work: Path, **options: Any) -> Any:
    """A pipeline on the GPU."""
    import fdcn

    bundle, _ = xl2.built(work, PRECISION)
    return fdcn.load(bundle.path, device=0, **options)


def once(pipe: Any, **options: Any) -> float:
    """Seconds of one call, its result complete."""
    import torch

    start = time.perf_counter()
    pipe(**REQUEST, **options)
    torch.cuda.synchronize()
    return time.perf_counter() - start
