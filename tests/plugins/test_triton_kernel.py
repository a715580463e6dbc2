"""The Triton kernels in Triton's interpreter, against the oracle and autograd; and compiled, with no GPU, for sm_90."""

import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from oracles import (
    BORDERS,
    LAYOUTS,
    TOLERANCES,
    assert_close,
    assert_same,
    border_inputs,
    golden_case,
    random_inputs,
    scalar_multi_scale_dcn,
)

from fdcn.plugins import torch_op

pytest.importorskip("triton", reason="triton is not installed: it comes with torch for CUDA")

GRIDS = [(3, 4), (1, 3), (1, 1)]
DIFFERENTIATED = [LAYOUTS[1], LAYOUTS[2], ((1, 3, 4), 2, 72, 9)]

# The interpreter is chosen before Triton is first imported. It converts to integers as NumPy does: a NaN or an
# infinity that gets there is a warning, here an error.
INTERPRETER = """
import pickle, sys, torch
from fdcn.plugins import triton_kernel
results = {}
for name, (arrays, groups, taps, dtype, grad) in pickle.load(sys.stdin.buffer).items():
    projection, prior, s_max = map(torch.from_numpy, arrays)
    arguments = projection.to(getattr(torch, dtype)), prior, s_max, groups, taps
    if grad is None:
        result = triton_kernel.forward(*arguments)
    else:
        result = triton_kernel.backward(torch.from_numpy(grad).to(arguments[0].dtype), *arguments)
    results[name] = str(result.dtype), result.float().numpy()
sys.stdout.buffer.write(pickle.dumps(results))
"""
STRICT = "error:invalid value encountered in cast:RuntimeWarning"


def forward_cases(golden):
    cases = {f"layout {layout}": (random_inputs(*layout), *layout[1::2]) for layout in LAYOUTS}
    cases |= {f"{name} {g}": (border_inputs(*g, **BORDERS[name]), 1, 1) for name in BORDERS for g in GRIDS}
    cases |= {f"empty {shape}": (random_inputs(shape, 2, 5, 9), 2, 9) for shape in ((0, 3, 4), (2, 0, 4))}
    cases["golden"] = golden_case(golden / "op_0.npz")[:3]
    typed = {name: (*case, "float32", None) for name, case in cases.items()}
    return typed | {dtype: (random_inputs(*LAYOUTS[1]), 2, 9, dtype, None) for dtype in ("float16", "bfloat16")}


def backward_cases():
    cases = {f"gradient {layout}": (random_inputs(*layout), *layout[1::2]) for layout in DIFFERENTIATED}
    cases |= {f"gradient {name}": (border_inputs(3, 4, **BORDERS[name]), 1, 1) for name in BORDERS}
    rng = np.random.default_rng(2)
    result = {}
    for name, (inputs, groups, taps) in cases.items():
        shape = (*inputs[0].shape[:3], inputs[0].shape[3] - groups * taps * 4)
        result[name] = (inputs, groups, taps, "float32", rng.standard_normal(shape).astype(np.float32))
    inputs, groups, taps, _, grad = result[f"gradient {LAYOUTS[1]}"]
    return result | {"gradient float16": (inputs, groups, taps, "float16", grad)}


@pytest.fixture(scope="module")
def interpreted(golden):
    """Every case, and what the interpreter makes of it."""
    cases = forward_cases(golden) | backward_cases()
    done = subprocess.run(
        [sys.executable, "-W", STRICT, "-c", INTERPRETER],
        input=pickle.dumps(cases),
        capture_output=True,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    results = pickle.loads(done.stdout)
    return {name: (case, *results[name]) for name, case in cases.items()}


@pytest.mark.parametrize(
    "name",
    [
        *(f"layout {layout}" for layout in LAYOUTS),
        *(f"{name} {grid}" for name in BORDERS for grid in GRIDS),
        *(f"empty {shape}" for shape in ((0, 3, 4), (2, 0, 4))),
    ],
)
def test_forward(interpreted, name):
    (inputs, groups, taps, _, _), _, got = interpreted[name]
    assert_same(got, scalar_multi_scale_dcn(*inputs, groups, taps))


def test_golden(interpreted, golden):
    assert_close(interpreted["golden"][2], golden_case(golden / "op_0.npz")[3], *TOLERANCES["golden"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(interpreted, dtype):
    ((projection, prior, s_max), groups, taps, _, _), made, got = interpreted[dtype]
    assert made == f"torch.{dtype}"
    stored = torch.from_numpy(projection).to(getattr(torch, dtype)).float().numpy()
    assert_close(got, scalar_multi_scale_dcn(stored, prior, s_max, groups, taps), *TOLERANCES[dtype])


@pytest.mark.parametrize(
    "name", [*(f"gradient {layout}" for layout in DIFFERENTIATED), *(f"gradient {border}" for border in BORDERS)]
)
def test_gradient(interpreted, name):
    (inputs, groups, taps, _, grad), _, got = interpreted[name]
    want = eager_gradient(inputs, groups, taps, torch.float32, grad)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    assert_close(got[finite], want[finite], *TOLERANCES["gradient"])


def test_gradient_in_half_precision(interpreted):
    (inputs, groups, taps, _, grad), made, got = interpreted["gradient float16"]
    assert made == "torch.float16"
    # Autograd rounds each value's gradient once too: the eager form computes in float32.
    assert_close(got, eager_gradient(inputs, groups, taps, torch.float16, grad), 1e-3, TOLERANCES["float16"][1])


def eager_gradient(inputs, groups, taps, dtype, grad):
    projection, prior, s_max = map(torch.from_numpy, inputs)
    leaf = projection.to(dtype).requires_grad_()
    out = torch_op.multi_scale_dcn_eager(leaf, prior, s_max, groups, taps)
    return torch.autograd.grad(out, leaf, torch.from_numpy(grad).to(dtype))[0].float().numpy()


def test_tensors_on_a_gpu_go_to_triton(monkeypatch):
    meta = torch.empty(1, 2, 3, 82, device="meta")
    monkeypatch.setattr(torch_op, "_COMPILERS", {"meta": "triton"})
    assert torch_op._compiled(meta)
    monkeypatch.setattr(torch_op, "_COMPILERS", {"meta": "no_such_compiler"})
    assert not torch_op._compiled(meta)
    from fdcn.plugins import triton_kernel

    assert torch_op._kernels("cuda") == (triton_kernel.forward, triton_kernel.backward)


@pytest.mark.large
@pytest.mark.parametrize("channels", [8, 40, 64, 72, 128])
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_compiles_for_an_h100_without_spills(tmp_path, monkeypatch, capsys, dtype, channels):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from fdcn.plugins import triton_kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = triton_kernel.layout(16, channels, 9)
    for kernel in (triton_kernel._forward, triton_kernel._backward):
        types = {"projection": dtype, "grad": dtype, "out": dtype, "prior": "fp32", "s_max": "fp32", "result": "fp32"}
        names = kernel.arg_names
        signature = {n: f"*{types[n]}" if n in types else "constexpr" if n in constants else "i32" for n in names}
        # What a launch finds out of torch's tensors: they start at multiples of 16 bytes.
        aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name in types}
        source = ASTSource(kernel, signature, constexprs=constants, attrs=aligned)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        assert compiled.asm["cubin"]
        ptx = tmp_path / "kernel.ptx"
        ptx.write_text(compiled.asm["ptx"])
        command = [triton.knobs.nvidia.ptxas.path, "-v", "--gpu-name=sm_90a", ptx, "-o", os.devnull]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        registers = re.search(r"Used (\d+) registers", report)[1]
        with capsys.disabled():
            print(f"\n{names[0]} {dtype} C={channels}: {registers} registers")
        assert re.search(r"0 bytes spill stores, 0 bytes spill loads", report)
