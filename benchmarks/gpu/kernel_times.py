"""What stage gpu-kernel times: the steps, a plain gather, and the kernel of FlowDCN's authors, at XL/2's sizes."""

import functools
import itertools
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stages import Failed

SIDES = {"XL/2 256 px": 16, "XL/2 512 px": 32}
"""Tokens along a side; the batch is a guided pair."""
GROUPS, WIDTH, TAPS = 16, 72, 9
SAMPLES, LAUNCHES = 30, 20
LEAST_OF_GATHER, LEAST_OVER_RELEASED = 0.7, 3.0
"""What the kernel is to reach: of the plain gather's bandwidth, and times the released kernel's speed."""


def timed(side: int) -> Callable[[Path], dict[str, Any]]:
    """All steps and the plain gather at XL/2, a guided pair in float16: with the data in L2, and with it cold."""

    def check(work: Path) -> dict[str, Any]:
        import compiled

        results: dict[str, Any] = {}
        words = ("--layout", f"2,{side},{side},{GROUPS},{WIDTH},{TAPS}", "--samples", SAMPLES)
        for step in compiled.STEPS:
            try:
                (results[step],) = compiled.run(compiled.compiled(work, step), *words)
            except RuntimeError as error:
                if step == compiled.SHIPPED:
                    raise
                results[step] = {"error": str(error)}
        for result in compiled.run(compiled.compiled(work, compiled.GATHER), *words):
            results[f"gather through {result['cache']}"] = result
        results["torch operator (Triton)"] = {"resident_seconds": in_graph(own_operator(side))}
        shipped = results[compiled.SHIPPED]
        of_gather = shipped["gathered_bytes_per_second"] / results["gather through L2"]["gathered_bytes_per_second"]
        numbers = {"of_gather": of_gather, "medians": medians(results), "results": results}
        if not of_gather >= LEAST_OF_GATHER:
            raise Failed(f"{of_gather:.2f} of the gather's bandwidth, not {LEAST_OF_GATHER}", numbers)
        return numbers

    return check


def medians(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Microseconds of each, resident and cold."""
    return {
        name: {key.split("_")[0]: 1e6 * statistics.median(value) for key, value in result.items() if "seconds" in key}
        for name, result in results.items()
    }


def released(work: Path) -> dict[str, Any]:
    """The Triton kernel of FlowDCN's authors and this one at the same work, timed alike and in turns."""
    import compiled
    import torch

    source = os.environ.get("FLOWDCN_SOURCE")
    if not source:
        raise Failed("not run: FLOWDCN_SOURCE is to name a clone of github.com/MCG-NJU/FlowDCN", {})
    sys.path.insert(0, source)
    from src.ops.triton_kernels.forward import forward_kernel  # type: ignore[import-not-found]

    kernel = compiled.Kernel(compiled.compiled(work, compiled.LIBRARY))
    numbers: dict[str, Any] = {}
    for name, side in SIDES.items():
        projection, prior, s_max = trained_inputs(side)
        N, G, C, K = len(projection), GROUPS, WIDTH, TAPS
        out, theirs = (torch.empty(N, side, side, G * C, dtype=torch.float16, device="cuda") for _ in range(2))
        value = projection[..., : G * C].reshape(N, side, side, G, C).contiguous()
        tap = projection[..., G * C :].float().reshape(N, side, side, G, K, 4)
        offset = ((tap[..., :2] + prior) * tap[..., 2:3].sigmoid() * 6).half().contiguous()
        weight = tap[..., 3].half().contiguous()
        sizes = (N, side, side, G, C, K)
        own = functools.partial(kernel, projection, prior, s_max, out, G, K)
        other = functools.partial(forward_kernel[(N * side * side * G,)], *sizes, value, offset, weight, theirs)
        taken: dict[str, list[list[float]]] = {"own": [], "released": []}
        for _ in range(2):
            taken["own"].append(in_graph(own))
            taken["released"].append(in_graph(other))
        cosine = torch.nn.functional.cosine_similarity(out.float().flatten(), theirs.float().flatten(), dim=0)
        # Its positions are float16, so it is near the contract and not on it.
        assert float(cosine) > 0.99, f"they compute different things: cosine {float(cosine)}"
        speedup = middle(taken["released"]) / middle(taken["own"])
        numbers[name] = {"speedup": speedup, "cosine": float(cosine), "seconds": taken}
    slow = [f"{name}: {n['speedup']:.2f}" for name, n in numbers.items() if not n["speedup"] >= LEAST_OVER_RELEASED]
    if slow:
        raise Failed(f"not {LEAST_OVER_RELEASED} times as fast as the released kernel: {', '.join(slow)}", numbers)
    return numbers


def trained_inputs(side: int) -> list[Any]:
    """Inputs on the GPU as benchmarks/kernels/problem.h makes them: the reach grows from group to group."""
    import compiled

    rng = np.random.default_rng(0)
    reach = (np.arange(GROUPS) + 0.95) / GROUPS
    taps = 0.3 * rng.standard_normal((2, side, side, GROUPS, TAPS, 4))
    taps[..., 2] += np.log(reach / (1 - reach))[:, None]
    values = rng.standard_normal((2, side, side, GROUPS * WIDTH))
    projection = np.concatenate([values, taps.reshape(2, side, side, -1)], -1).astype(np.float16)
    prior = np.stack(np.divmod(np.arange(TAPS), 3)[::-1], -1).astype(np.float32) - 1
    return [compiled.to_device(array) for array in (projection, prior, np.full((2, 2), 6, np.float32))]


def middle(runs: list[list[float]]) -> float:
    """Median of all samples."""
    return statistics.median(itertools.chain(*runs))


def own_operator(side: int) -> Callable[[], object]:
    """A call of the torch operator."""
    import torch

    from fdcn.plugins import torch_op

    assert torch_op.multi_scale_dcn
    given = trained_inputs(side)
    return lambda: torch.ops.fdcn.multi_scale_dcn(*given, GROUPS, TAPS)


def in_graph(work: Callable[[], object]) -> list[float]:
    """Seconds of a call among many in one CUDA graph."""
    import torch

    work()
    torch.cuda.synchronize()
    graph, taken = torch.cuda.CUDAGraph(), []
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            work()
    for i in range(-3, SAMPLES):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        if i >= 0:
            taken.append(start.elapsed_time(end) * 1e-3 / LAUNCHES)
    return taken
