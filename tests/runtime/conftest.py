"""The sampler's kernels (runtime/native/sampler.cu), compiled for this CPU: they run thread by thread."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from device_memory import STREAM, Memory

from fdcn.plugins import contract, gpu_launch
from fdcn.runtime import kernels as kernels_module
from fdcn.runtime.kernels import SOURCE, SamplerKernels

HERE = Path(__file__).parent
EMULATOR = HERE.parent / "plugins" / "emulator"


@pytest.fixture(scope="session")
def sampler_library(tmp_path_factory):
    """sampler.cu in a library for this CPU."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the sampler's kernels were not emulated: there is no g++")
    folder = tmp_path_factory.mktemp("emulated")
    (folder / "contract.h").write_text(contract.header())
    built = folder / "sampler.so"
    command = [compiler, "-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-fno-strict-aliasing"]
    command += ["-Wall", "-Wextra", "-Werror", *(f"-I{path}" for path in (EMULATOR, SOURCE.folder, folder))]
    sources = [HERE / "emulated.cpp", EMULATOR / "emulator.cpp"]
    done = subprocess.run([*command, *sources, "-o", built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(built))


@pytest.fixture
def kernels(sampler_library, monkeypatch):
    """`SamplerKernels` on the host's memory; blocks and grids are small, so that threads go on where the grid ends."""

    def call(function, kernel, x, y, z, *rest):
        assert function == "cuLaunchKernel"
        threads, *ones, shared, stream, (values, types), extra = rest
        assert (z, ones, shared, stream, extra) == (1, [1, 1], 0, STREAM, 0)
        given = [kind(value) for kind, value in zip(types, values, strict=True)]
        pointers = (ctypes.c_void_p * len(given))(*(ctypes.addressof(value) for value in given))
        status = sampler_library.emulator_launch(kernel.encode(), x, y, threads, pointers)
        assert status == 0, f"{kernel}: {status}"

    monkeypatch.setattr(kernels_module, "THREADS", 8)
    monkeypatch.setattr(kernels_module, "MOST_BLOCKS", 3)
    monkeypatch.setattr(gpu_launch, "function", lambda source, name: name)
    monkeypatch.setattr(gpu_launch, "call", call)
    sampler_library.emulator_descend(False)
    return SamplerKernels()


@pytest.fixture(params=[0, 1])
def memory(request):
    """Where tensors lie, aligned and not."""
    made = Memory(request.param)
    yield made
    made.check()
