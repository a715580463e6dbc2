"""What stage gpu-engine checks of the sampler on the device: pictures against the host's, row by row and as a graph."""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from shipped import built, load
from stages import Failed

from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.pipeline import Pipeline

SIZES, IMAGES = ((28, 28), (56, 28), (20, 40)), (1, 3)
SOLVERS = (("neural", 5), ("adams3", 6), ("heun-sde", 3), ("euler-sde-mean", 4))
GUIDANCES: tuple[dict[str, Any], ...] = ({"guidance": 2.0}, {"guidance": 2.0, "guidance_interval": (0.2, 0.7)})
CLOSE = 5e-3
"""Largest difference of final latents: float32 products in other orders, over a trajectory."""
AGAIN = 1e-6
"""And between two runs of the device."""
BEHIND = 0.5
"""Seconds for the graph that is prepared behind a first run."""


def pictures(work: Path) -> dict[str, Any]:
    """Every kind of plan: the first run goes row by row, the second and third are launches of the prepared graph."""
    bundle, _ = built(work, "auto", "float32")
    worst: dict[str, float] = {"row by row": 0.0, "graph": 0.0, "graph, other seeds": 0.0, "graph again": 0.0}
    seconds: dict[str, list[float]] = {"row by row": [], "graph": []}
    with Pipeline(bundle, load(bundle)) as pipe, Pipeline(bundle, OnnxRuntime(bundle)) as host:
        for size, images, (solver, steps), guidance in itertools.product(SIZES, IMAGES, SOLVERS, GUIDANCES):
            request = {"labels": list(range(images)), "size": size, "solver": solver, "steps": steps, **guidance}
            others = request | {"labels": [9 - i for i in range(images)], "seed": 5, "guidance": 3.0}
            start = time.perf_counter()
            first = pipe(**request)
            seconds["row by row"].append(time.perf_counter() - start)
            time.sleep(BEHIND)
            start = time.perf_counter()
            second = pipe(**request)
            seconds["graph"].append(time.perf_counter() - start)
            wanted = host(**request)
            for name, got, want in (
                ("row by row", first, wanted),
                ("graph", second, wanted),
                ("graph, other seeds", pipe(**others), host(**others)),
                ("graph again", pipe(**request), second),
            ):
                worst[name] = max(worst[name], float(np.abs(got.latents - want.latents).max(initial=0)))
    numbers = {"worst": worst, "median_seconds": {name: float(np.median(taken)) for name, taken in seconds.items()}}
    limits = {name: AGAIN if name == "graph again" else CLOSE for name in worst}
    if wrong := [f"{name}: {worst[name]:.2g}" for name in worst if not worst[name] <= limits[name]]:
        raise Failed(f"latents differ: {'; '.join(wrong)}", numbers)
    return numbers
