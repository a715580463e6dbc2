"""The sampler's kernels as NVIDIA's compiler makes them for GPUs that are not here, and what Python gives them."""

import ctypes
import re

import pytest
from cubins import resources

from fdcn.plugins import gpu_launch, nvrtc
from fdcn.runtime.kernels import NAMES, PASSES, SOURCE, SamplerKernels, numbers_of, row_numbers
from fdcn.runtime.plan import sampler_plan

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")
MOST_REGISTERS = 96
"""Of a thread. Blocks are small: ten of them fit a multiprocessor's 65,536."""
REDUCTION = 40
"""Bytes on the stack in which CUDA's own sin and cos reduce angles above 105,615, which are none of ours."""


@pytest.fixture(scope="module")
def compiler():
    found = nvrtc.find()
    if found is None:
        pytest.skip("NVRTC compiled no kernel of the sampler: it is not there, or not with CUDA's headers")
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_compiles_them_without_spills(compiler, architecture):
    if int(architecture.removeprefix("sm_")) not in compiler.architectures:
        pytest.skip(f"{compiler} does not know {architecture}")
    used = resources(nvrtc.cubin(architecture, compiler, SOURCE).read_bytes())
    assert set(used) == {f"fdcn_{name}" for name in NAMES}
    for name, (registers, stack) in used.items():
        assert registers <= MOST_REGISTERS, f"{name} takes {registers} registers"
        assert stack <= (REDUCTION if name in ("fdcn_begin", "fdcn_advance") else 0), f"{name} spills: {stack} bytes"


def test_arguments_are_the_kernels_parameters(compiler, monkeypatch):
    given = {}

    def call(function, kernel, *rest):
        _, types = rest[-2]
        given[kernel] = ["u32" if kind is ctypes.c_int else "u64" for kind in types]

    monkeypatch.setattr(gpu_launch, "function", lambda source, name: name)
    monkeypatch.setattr(gpu_launch, "call", call)
    made = SamplerKernels()
    made.begin(0, 0, 0, 0, 0, 1, 1, 1, 7)
    sizes = dict.fromkeys(("images", "elements", "guided", "history", "row", "passes", "next_passes", "stream"), 1)
    made.advance(0, 0, 0, 0, 0, 0, 0, 0, **sizes)
    made.gather(0, 0, 0, 1, 1, 7)
    made.to_pixels(0, 0, 1, (1, 1, 1), (1, 1), 7)
    made.latent_preview(0, 0, 1, 1, 1, 1, 1, 7)
    made.find_not_finite(0, 1, 0, 7)
    text = nvrtc.ptx("sm_80", compiler, SOURCE).read_text()
    assert {name: re.findall(rf"\.param \.([us]\d\d)\b.* {name}_param_\d", text) for name in given} == given


def test_the_headers_numbers_are_pythons():
    constants = dict(re.findall(r"\b(k[A-Z]\w+) = (\d+)", (SOURCE.folder / "advance.h").read_text()))
    assert constants == {"kPasses": str(PASSES), "kDraws": "2"}
    plan = sampler_plan("heun-sde", 3, blocks=1)
    assert len(numbers_of(plan.rows[0], plan.history)) == row_numbers(plan.history)
