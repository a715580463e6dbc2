"""The plugins in full TensorRT, as far as that goes with no GPU.

Its package and libraries are what TENSORRT_ROOT names, or what scripts/fetch_tensorrt.py has brought.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fdcn import gpu
from fdcn.errors import FdcnError
from fdcn.plugins import cuda_compilers, libraries, nvrtc

pytestmark = pytest.mark.large

CASES = Path(__file__).with_name("full_cases.py")
ROOT = os.environ.get("TENSORRT_ROOT") or str(libraries.DEPS / "tensorrt-10.6")


@pytest.fixture(scope="module")
def full():
    """full(kind, *library) → what full_cases.py prints."""
    if not (Path(ROOT) / "tensorrt").is_dir():
        pytest.skip(
            f"full TensorRT was not tested: {ROOT} has no package `tensorrt`; python scripts/fetch_tensorrt.py {ROOT}"
        )
    if gpu.first():
        pytest.skip("there is a GPU, so TensorRT's builder starts")

    def run(*words):
        paths = [ROOT, os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        done = subprocess.run(
            [sys.executable, CASES, *words], capture_output=True, text=True, check=False, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("kind", ["library", "python"])
def test_a_plugin_registers(full, kind, tmp_path, monkeypatch):
    words = []
    if kind == "library":
        # The package may come without headers: one library serves every TensorRT, whatever headers it was built with.
        if not any((Path(ROOT) / folder / "NvInferRuntime.h").is_file() for folder in (".", "include")):
            monkeypatch.delenv("TENSORRT_ROOT", raising=False)
        monkeypatch.setenv("FDCN_CACHE", str(tmp_path))
        try:
            words = [libraries.build("tensorrt", architectures=[86])]
        except FdcnError as error:
            pytest.skip(f"the C++ plugin was not tested in full TensorRT: {error}")
    result = full(kind, *words)
    assert result["timing"] == "groups 2, taps 9"
    assert "builds on a machine with an NVIDIA GPU" in result["builder"]


def test_an_ahead_of_time_plugin(full, tmp_path):
    result = full("aot")
    if tuple(map(int, result["version"].split(".")[:2])) < (10, 9):
        assert "takes TensorRT 10.9 or newer" in result["error"]
        return
    assert result["types"] == ["BF16"]
    assert (result["shape"], result["dtype"]) == ([3, 9, 17, 10], "HALF")
    assert result["launch"] == {
        **dict(zip(("grid_x", "grid_y", "grid_z"), (9, 3, 2), strict=True)),
        **dict(zip(("block_x", "block_y", "block_z"), (288, 1, 1), strict=True)),
        "shared_mem": 0,
    }
    assert result["sizes"] == [3, 9, 17, 2, 5, 9]
    assert result["name"] == nvrtc.ENTRIES["float16"]
    assert f".entry {result['name']}(" in result["ptx"]
    assemble(result["ptx"], tmp_path)


def assemble(ptx, folder):
    """The driver's compiler is not here; CUDA's accepts what that does."""
    nvcc = cuda_compilers.find_nvcc()
    if nvcc is None:
        return
    (folder / "kernel.ptx").write_text(ptx)
    command = [nvcc.path.with_name("ptxas"), "-arch=sm_90", folder / "kernel.ptx", "-o", folder / "kernel.cubin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
