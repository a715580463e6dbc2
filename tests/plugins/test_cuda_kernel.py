"""The kernel and the steps that led to it, compiled for GPUs that are not here: no spills, whatever compiles them.

What they compute is checked on a CPU by test_kernel_emulated.py, and on a GPU by benchmarks/gpu/kernel.py.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cubins import resources

from fdcn.plugins import contract, nvrtc
from fdcn.plugins.cuda_compilers import find_nvcc

ROOT = Path(__file__).parents[2]
EMULATOR = Path(__file__).parent / "emulator"
NATIVE, KERNELS = ROOT / "plugins" / "native", ROOT / "benchmarks" / "kernels"
ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90")
STEPS = sorted(path.name for path in KERNELS.glob("[0-9]_*.cu"))
MOST_REGISTERS = 72
"""Of a thread, so that kResidentBlocks blocks of kThreads fit a multiprocessor's 65,536."""


@pytest.fixture(scope="module")
def nvcc():
    found = find_nvcc()
    if found is None:
        pytest.skip("nvcc compiled nothing: there is none on the path, in CUDA_HOME or among Python's packages")
    return found


@pytest.fixture(scope="module")
def compiler():
    found = nvrtc.find()
    if found is None:
        pytest.skip("NVRTC compiled nothing: it is not there, or not with CUDA's headers")
    return found


@pytest.fixture
def includes(tmp_path):
    (tmp_path / "contract.h").write_text(contract.header())
    return [f"-I{path}" for path in (tmp_path, NATIVE, KERNELS)]


def assert_fits(used, count=3):
    """`used` is {kernel: (registers, bytes of a thread's stack)}, a kernel for each type."""
    assert len(used) == count, used
    for name, (registers, stack) in used.items():
        assert stack == 0, f"{name} spills, or keeps an array in memory: {stack} bytes"
        assert registers <= MOST_REGISTERS, f"{name} takes {registers} registers"


def test_nvrtc_for_an_h200(compiler):
    assert_fits(resources(nvrtc.cubin("sm_90", compiler).read_bytes()))


@pytest.mark.large
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "sm_75", "sm_100", "sm_120"])
def test_nvrtc(compiler, architecture):
    assert_fits(resources(nvrtc.cubin(architecture, compiler).read_bytes()))


@pytest.mark.large
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", [*STEPS, "gather.cu"])
def test_nvcc(nvcc, includes, tmp_path, source, architecture):
    out = tmp_path / "code.cubin"
    flags = ["-std=c++17", "-O3", f"-arch={architecture}", "-Xptxas=-v", "-Werror=all-warnings", "-cubin"]
    done = subprocess.run(
        [nvcc.path, *flags, *includes, KERNELS / source, "-o", out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    spilled = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert spilled
    assert all(figures == ("0", "0", "0") for figures in spilled), done.stderr
    used = resources(out.read_bytes())
    print(source, architecture, used)
    assert_fits(used, 2 if source == "gather.cu" else 3)


@pytest.mark.large
@pytest.mark.parametrize("source", ["bench.cu", "measure.cu", "binding.cu"])
def test_nvcc_takes_the_harness(nvcc, includes, tmp_path, source):
    flags = ["-std=c++17", "-arch=sm_90", "-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra,-Werror", "-c"]
    command = [nvcc.path, *flags, *includes, KERNELS / source, "-o", tmp_path / "out.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.large
@pytest.mark.parametrize("source", [*STEPS, "gather.cu"])
def test_steps_emulated(includes, tmp_path, source):
    """The steps and their harness, thread by thread on this CPU."""
    if shutil.which("g++") is None:
        pytest.skip("the steps were not emulated: there is no g++")
    program = tmp_path / "program"
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-parameter"]
    sources = [KERNELS / source, EMULATOR / "measure.cpp", *([] if source == "gather.cu" else [KERNELS / "bench.cu"])]
    command = ["g++", "-std=c++17", "-O2", "-fno-strict-aliasing", *warnings, f"-I{EMULATOR}", *includes]
    done = subprocess.run([*command, "-x", "c++", *sources, "-o", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for layout, dtype in (("2,5,9,2,72,9", "float16"), ("1,6,5,4,64,9", "bfloat16"), ("1,4,7,3,72,9", "float32")):
        words = [program, "--check", "--layout", layout, "--type", dtype]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{layout} {dtype}: {done.stderr}"
