"""What stage gpu-cpp checks: pictures of the C++ runtime beside those of Python's graph replay, on the same engine."""

import itertools
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import cpp_program
import numpy as np
from engine_sampler import BEHIND, GUIDANCES, IMAGES, SIZES, SOLVERS
from shipped import built, load
from stages import Failed

from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline

CLOSE = 1e-5
"""Largest difference of latents: the same engine and kernels, compiled by nvcc here and by NVRTC there."""
LEVELS = 1
"""And of pixels, where a latent's last bits decide on a level."""
SHAPES, ROUNDS = 20, 4
GROWTH = 64 << 20
"""Bytes of the GPU's memory, after all shapes were prepared once."""


def pictures(work: Path, precision: str) -> dict[str, Any]:
    """Every kind of plan, row by row and as a CUDA graph, with seeds and with noise."""
    bundle, _ = built(work, "library", precision)
    worst: dict[str, float] = {}
    with Pipeline(bundle, load(bundle)) as pipe, cpp_program.opened(work, bundle) as program:
        for size, images, (solver, steps), guidance in itertools.product(SIZES, IMAGES, SOLVERS, GUIDANCES):
            request = {"labels": list(range(images)), "size": size, "solver": solver, "steps": steps, **guidance}
            others = request | {"labels": [9 - i for i in range(images)], "seed": 5, "guidance": 3.0}
            noise = np.random.default_rng(0).standard_normal(pipe(**request).latents.shape, np.float32)
            time.sleep(BEHIND)
            wanted = pipe(**request)
            for name, runs, asked, given, want in (
                ("row by row", 1, request, None, wanted),
                ("graph", 2, request, None, wanted),
                ("graph, other seeds", 1, others, None, pipe(**others)),
                ("noise", 1, request, noise, pipe(**request, noise=noise)),
            ):
                latents, pixels, _ = program.sample(asked, runs=runs, pause=(runs - 1) * BEHIND, noise=given)
                difference(worst, name, latents, want.latents)
                difference(worst, f"{name}, levels", pixels.astype(np.int16), want.pixels.astype(np.int16))
        backend = program.backend
    return accepted(worst, backend)


def on_the_device(work: Path) -> dict[str, Any]:
    """Noise from the GPU, results left there, on a caller's stream: the same as on the host."""
    bundle, _ = built(work, "library", "float32")
    request = {"labels": [3, 4], "size": (56, 28), "solver": "euler", "steps": 4, "guidance": 2.0}
    worst: dict[str, float] = {}
    with Pipeline(bundle, load(bundle)) as pipe, cpp_program.opened(work, bundle) as program:
        noise = np.random.default_rng(1).standard_normal(pipe(**request).latents.shape, np.float32)
        wanted = pipe(**request, noise=noise)
        for name in ("row by row", "graph"):
            latents, pixels, _ = program.sample(request, noise=noise, on_device=True)
            difference(worst, name, latents, wanted.latents)
            difference(worst, f"{name}, levels", pixels.astype(np.int16), wanted.pixels.astype(np.int16))
            time.sleep(BEHIND)
        latents, _, _ = program.sample(request, on_device=True)
        difference(worst, "drawn", latents, pipe(**request).latents)
        backend = program.backend
    return accepted(worst, backend)


def refusals(work: Path) -> dict[str, Any]:
    """What no profile takes is refused in Python's words."""
    bundle, _ = built(work, "library", "float32")
    told = {}
    with Pipeline(bundle, load(bundle)) as pipe, cpp_program.opened(work, bundle) as program:
        for request in ({"size": (4096, 4096)}, {"labels": [99]}, {"size": (28, 2048), "solver": "heun", "steps": 2}):
            try:
                pipe(**request)
            except FdcnError as error:
                wanted = str(error)
            try:
                program.sample(request)
            except cpp_program.Refused as refused:
                assert str(refused) == wanted, f"{refused}, not {wanted}"
                told[str(request)] = wanted.replace(str(bundle.path), "BUNDLE")
            else:
                raise AssertionError(f"{request} was not refused")
        program.sample({"labels": [1]})
    return told


def many_sizes(work: Path) -> dict[str, Any]:
    """Requests of sizes that come again leave no more of the GPU's memory taken than their first round did."""
    bundle, _ = built(work, "library", "float32")
    chosen = random.Random(0)
    sizes = [(chosen.randrange(8, 85), chosen.randrange(8, 85)) for _ in range(SHAPES)]
    taken = []
    with cpp_program.opened(work, bundle) as program:
        for _ in range(ROUNDS):
            for size in sizes:
                program.sample({"labels": [1], "size": size, "solver": "euler", "steps": 2}, pause=0.05)
            taken.append(used_memory())
    if taken[-1] - taken[0] > GROWTH:
        raise Failed("the GPU's memory grows", {"bytes": taken})
    return {"bytes": taken}


def used_memory() -> int:
    """Bytes of the GPU's memory that somebody has, by NVIDIA's own tool."""
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout) << 20


def difference(worst: dict[str, float], name: str, got: np.ndarray, wanted: np.ndarray) -> None:
    """Note the largest difference; infinite where something is not finite."""
    off = np.abs(got.astype(np.float64) - np.asarray(wanted, np.float64).reshape(-1)).max(initial=0)
    worst[name] = max(worst.get(name, 0.0), float(off) if np.isfinite(off) else float("inf"))


def accepted(worst: dict[str, float], backend: str) -> dict[str, Any]:
    """The differences, as numbers of a check. Raises Failed where one is too large."""
    numbers = {"worst": worst, "backend": backend}
    limits = {name: LEVELS if name.endswith("levels") else CLOSE for name in worst}
    if wrong := [f"{name}: {worst[name]:.2g}" for name in worst if not worst[name] <= limits[name]]:
        raise Failed(f"C++ and Python differ: {'; '.join(wrong)}", numbers)
    return numbers
