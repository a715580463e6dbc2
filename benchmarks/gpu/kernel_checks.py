"""What stage gpu-kernel checks: the kernel in every way that it is compiled and called, against the oracle."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kernel_times import GROUPS, SIDES, TAPS, WIDTH
from stages import ROOT, Failed

from fdcn.plugins import spec
from fdcn.plugins.reference import multi_scale_dcn

sys.path.append(str(ROOT / "tests"))

from oracles import (
    BORDERS,
    LAYOUTS,
    TOLERANCES,
    assert_close,
    assert_same,
    border_inputs,
    planted_inputs,
    random_inputs,
)

CHANNELS = (8, 40, 64, 72, 128, 1, 2, 3, 5, 6, 20)
OFFSETS = (1, 2, 4, 7)
"""Elements that every tensor of a misaligned call lies past an allocation's start."""
GUARD, SENTINEL = 256, 77
NEAR = 1e-5
"""Positions that a sigmoid to 1e-7 may put on either side of -1 or -2, where the operator jumps."""
STEP_LAYOUTS = ("2,16,16,16,72,9", "2,13,9,6,64,9", "1,32,32,4,72,9")
SANITIZED = (("2,13,9,6,64,9", "float16"), ("1,1,1,2,72,9", "bfloat16"), ("3,5,9,2,40,25", "float32"))
SANITIZED += (("2,5,6,3,7,9", "float16"),)
"""Layouts, as benchmarks/kernels takes them: with the sizes known to the kernel and not, one cell, misaligned rows."""

Case = tuple[str, tuple[Any, ...], int, int]
"""Name, inputs, groups, taps."""


def compile_all(work: Path) -> dict[str, Any]:
    """nvcc compiles the launcher, the steps and the gather for this GPU."""
    import compiled

    return {name: path.stat().st_size for name, path in compiled.everything(work).items()}


def cases(dtype: str) -> Iterator[Case]:
    """Every kind of loop in the kernel, and every edge of the contract."""
    for name, inputs, groups, taps in itertools.chain(sizes(), borders(), extremes()):
        yield name, (typed(inputs[0], dtype), *inputs[1:]), groups, taps


def typed(array: np.ndarray, dtype: str) -> np.ndarray:
    import ml_dtypes

    with np.errstate(over="ignore"):
        return array.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def sizes() -> Iterator[Case]:
    for C in CHANNELS:
        yield f"{C} channels", random_inputs((2, 9, 13), 3, C, 9), 3, 9
        yield f"{C} channels, one cell", random_inputs((1, 1, 1), 2, C, 9), 2, 9
    for shape, groups, channels, taps in LAYOUTS:
        yield f"{shape} {groups} {channels} {taps}", random_inputs(shape, groups, channels, taps), groups, taps
    for K in (1, 4, 25, 49, 289):
        yield f"{K} taps", random_inputs((1, 5, 6), 2, 72, K), 2, K
    for side in SIDES.values():
        yield f"XL/2 of {side} tokens", random_inputs((2, side, side), GROUPS, WIDTH, TAPS), GROUPS, TAPS
    yield "many images", random_inputs((300, 3, 5), 1, 64, 9), 1, 9
    yield "a long row", whole_cells(1, 5000, 64), 1, 9
    yield "a long column", whole_cells(5000, 1, 72), 1, 9


def whole_cells(H: int, W: int, C: int) -> tuple[Any, ...]:
    """Taps that move by whole cells, which are exact however far from the first cell they are."""
    rng = np.random.default_rng(0)
    values, weight = rng.standard_normal((1, H, W, 1, C)), rng.standard_normal((1, H, W, 1, 9))
    return planted_inputs(values, rng.integers(-7, 8, (1, H, W, 1, 9, 2)), weight)


def borders() -> Iterator[Case]:
    for border, size in itertools.product(BORDERS, ((1, 1), (3, 2), (4, 5))):
        yield f"{border} at {size}", border_inputs(*size, **BORDERS[border]), 1, 1


def extremes() -> Iterator[Case]:
    for C, field, value in itertools.product((6, 64, 72), range(4), (np.nan, np.inf, -np.inf, 3e38, -1e30)):
        projection, prior, s_max = random_inputs((1, 5, 9), 2, C, 9)
        huge_weight = field == 3 and np.isfinite(value)  # it would only show the roundings of positions
        projection[..., 2 * C + field :: 8] = np.inf if huge_weight else value
        yield f"{C} channels, {spec.TAP_FIELDS[field]} {value}", (projection, prior, s_max), 2, 9


def against_oracle(dtype: str) -> Callable[[Path], dict[str, Any]]:
    """The kernel and the oracle on every case, in plain and in misaligned memory, the outputs among sentinels."""

    def check(work: Path) -> dict[str, Any]:
        import compiled

        kernel = compiled.Kernel(compiled.compiled(work, compiled.LIBRARY))
        seen = 0
        for name, inputs, groups, taps in cases(dtype):
            want = multi_scale_dcn(*inputs, groups, taps)
            for offset in (0, *OFFSETS) if want.size < 10**6 else (0, 1):
                first, again = (call(kernel, inputs, groups, taps, offset) for _ in range(2))
                assert_agree(f"{name}, {offset} elements off", first, want, inputs, groups, taps)
                assert first.tobytes() == again.tobytes(), f"{name}, {offset} elements off: two calls differ"
                seen += 1
        return {"calls": seen}

    return check


def call(kernel: Any, inputs: tuple[Any, ...], groups: int, taps: int, offset: int = 0) -> np.ndarray:
    """The output of kernel(projection, prior, s_max, out, groups, taps), after a look at what lies around it."""
    import compiled
    import torch

    given = [compiled.to_device(array, offset) for array in inputs]
    shape = (*inputs[0].shape[:3], spec.value_width(inputs[0].shape[3], groups, taps))
    size = int(np.prod(shape))
    room = torch.full((size + 2 * GUARD + offset,), SENTINEL, dtype=given[0].dtype, device="cuda")
    out = room[GUARD + offset : GUARD + offset + size].view(shape)
    out.fill_(float("nan"))
    kernel(*given, out, groups, taps)
    torch.cuda.synchronize()
    around = torch.cat([room[: GUARD + offset], room[GUARD + offset + size :]])
    assert bool((around == SENTINEL).all()), "the kernel wrote beside its output"
    return compiled.to_host(out)


def assert_agree(name: str, got: np.ndarray, want: np.ndarray, inputs: tuple[Any, ...], groups: int, taps: int) -> None:
    """`assert_same`, but for the few groups with a tap so near a jump that a rounding may take it across."""
    shape = (*want.shape[:3], groups, -1)
    doubtful = near_a_jump(inputs, groups, taps)
    assert doubtful.mean() < 0.01, f"{name}: nearly all of it is doubtful"
    got = np.where(doubtful[..., None], want.reshape(shape), got.reshape(shape)).reshape(want.shape)
    try:
        assert_same(got, want)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error


def near_a_jump(inputs: tuple[Any, ...], groups: int, taps: int) -> np.ndarray:
    """Which groups of which tokens have a tap next to -1 or -2, whose scale is not exact; [N, H, W, G]."""
    projection, prior, s_max = inputs
    N, H, W, width = projection.shape
    start = spec.value_width(width, groups, taps)
    tap = projection[..., start:].astype(np.float32).reshape(N, H, W, groups, taps, 4)
    with np.errstate(all="ignore"):
        scale = s_max.reshape(N, 1, 1, 1, 1, 2) / (1 + np.exp(-tap[..., 2:3]))
        cell = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1).reshape(1, H, W, 1, 1, 2)
        position = cell + (tap[..., :2] + prior) * scale
        near = (np.abs(position + 1) < NEAR) | (np.abs(position + 2) < NEAR)
    return (near.any(-1) & (tap[..., 2] != 0)).any(-1)


def refusals(work: Path) -> dict[str, Any]:
    """Shapes that cannot be are refused, empty ones succeed, and neither leaves an error behind."""
    import compiled
    import torch

    kernel = compiled.Kernel(compiled.compiled(work, compiled.LIBRARY))
    prior, s_max = torch.zeros(9, 2, device="cuda"), torch.zeros(1, 2, device="cuda")
    for shape in ((0, 2, 3, 88), (1, 0, 3, 88), (1, 2, 0, 88)):
        kernel(torch.zeros(shape, device="cuda"), prior, s_max, torch.zeros(1, device="cuda"), 2, 9)
    huge = torch.zeros(1, device="cuda").expand(1, 2**16, 2**16, 88)
    try:
        kernel(huge, prior, s_max, prior, 2, 9)
    except RuntimeError as error:
        assert str(error).endswith("cudaError_t 1"), error
    else:
        raise AssertionError("2³² tokens were not refused")
    torch.cuda.synchronize()
    return {}


def from_python(work: Path) -> dict[str, Any]:
    """The kernel as NVRTC compiles it and cuda-python launches it, against the oracle."""
    import torch

    from fdcn.plugins import gpu_launch

    def kernel(*given: Any) -> None:
        *tensors, groups, taps = given
        N, H, W, width = tensors[0].shape
        dtype = str(tensors[0].dtype).removeprefix("torch.")
        channels = spec.value_width(width, groups, taps) // groups
        launch = gpu_launch.Launch(dtype, N, H, W, groups, channels, taps)
        launch(*(tensor.data_ptr() for tensor in tensors), torch.cuda.current_stream().cuda_stream)

    seen = 0
    for dtype in spec.DTYPES:
        for name, inputs, groups, taps in cases(dtype):
            if inputs[0].size < 10**5:
                got = call(kernel, inputs, groups, taps)
                assert_agree(f"{name}, {dtype}", got, multi_scale_dcn(*inputs, groups, taps), inputs, groups, taps)
                seen += 1
    return {"calls": seen}


def torch_operator(work: Path) -> dict[str, Any]:
    """The custom operator's Triton kernels on this GPU: forward against the oracle, backward against autograd."""
    import compiled
    import torch

    from fdcn.plugins import torch_op

    def kernel(*given: Any) -> None:
        *inputs, out, groups, taps = given
        out.copy_(torch.ops.fdcn.multi_scale_dcn(*inputs, groups, taps))

    layouts = [(str(layout), random_inputs(*layout), *layout[1::2]) for layout in LAYOUTS]
    for dtype, (name, inputs, groups, taps) in itertools.product(spec.DTYPES, [*layouts, *borders()]):
        inputs = typed(inputs[0], dtype), *inputs[1:]
        want = multi_scale_dcn(*inputs, groups, taps)
        assert_agree(f"{name}, {dtype}", call(kernel, inputs, groups, taps), want, inputs, groups, taps)
    for C in (6, 64, 72):
        projection, prior, s_max = (compiled.to_device(array) for array in random_inputs((2, 6, 7), 2, C, 9))
        gradients = []
        for operator in (torch.ops.fdcn.multi_scale_dcn, torch_op.multi_scale_dcn_eager):
            leaf = projection.clone().requires_grad_()
            operator(leaf, prior, s_max, 2, 9).square().sum().backward()
            gradients.append(compiled.to_host(leaf.grad))
        assert_close(*gradients, *TOLERANCES["gradient"])
    return {}


def steps(work: Path) -> dict[str, Any]:
    """Each step, and the gather, against the CPU."""
    import compiled

    worst = {}
    for step in (*compiled.STEPS, compiled.GATHER):
        program = compiled.compiled(work, step)
        for layout, dtype in itertools.product(STEP_LAYOUTS, spec.DTYPES):
            try:
                results = compiled.run(program, "--check", "--layout", layout, "--type", dtype)
                worst[f"{step} {layout} {dtype}"] = results[0].get("error_over_tolerance", 0)
            except RuntimeError as error:
                # A step may need more shared memory than there is.
                if step == compiled.SHIPPED or "launching: invalid argument" not in str(error):
                    raise
                worst[f"{step} {layout} {dtype}"] = str(error)
    return {"error_over_tolerance": worst}


def sanitized(work: Path) -> dict[str, Any]:
    """compute-sanitizer finds nothing: no stray or misaligned access, no race, nothing read before it was written."""
    import compiled

    from fdcn.plugins.cuda_compilers import find_nvcc

    nvcc = find_nvcc()
    beside = [str(nvcc.path.resolve().parent)] if nvcc else []
    path = os.pathsep.join([os.environ["PATH"], *beside, "/usr/local/cuda/bin"])
    sanitizer = shutil.which("compute-sanitizer", path=path)
    if sanitizer is None:
        raise Failed("not run: compute-sanitizer is neither on the path nor beside nvcc", {})
    program, said = compiled.compiled(work, compiled.SHIPPED), {}
    for tool, (layout, dtype) in itertools.product(("memcheck", "racecheck", "initcheck", "synccheck"), SANITIZED):
        command = [sanitizer, "--tool", tool, "--error-exitcode", "86", str(program), "--check", "--layout", layout]
        done = subprocess.run([*command, "--type", dtype], capture_output=True, text=True, check=False)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("=====")]
        said[f"{tool} {layout} {dtype}"] = lines[-1] if lines else "nothing"
        if done.returncode:
            raise Failed(f"{tool} at {layout}: {' | '.join(lines[:6]) or done.stderr[-300:]}", said)
    return said
