"""The backend for TensorRT compiled against each TensorRT's headers, and linked with the libraries that are there."""

import os
import shutil
from importlib import util
from pathlib import Path

import pytest
from cpp_runtime import ROOT, configure, environment, run

from fdcn.plugins import cuda_compilers

pytestmark = pytest.mark.large

DEPS = ROOT / "build" / "deps"
RTX = util.find_spec("tensorrt_rtx_libs")
FLAVOURS = {
    "10.6": (DEPS / "tensorrt-10.6-headers" / "include", DEPS / "tensorrt-10.6" / "lib"),
    "11.4": (DEPS / "tensorrt-11.4", None),
    "RTX 1.7": (DEPS / "tensorrt-rtx-1.7", Path(RTX.origin).parent if RTX and RTX.origin else None),
}
"""Where the headers and the libraries of each are; none: then it is compiled alone."""


@pytest.fixture(params=FLAVOURS)
def package(request, tmp_path) -> tuple[Path, bool]:
    """A folder like NVIDIA's package, and whether its library is the headers'."""
    headers, libraries = FLAVOURS[request.param]
    if not headers.is_dir():
        pytest.skip(f"the C++ backend was not compiled against TensorRT {request.param}: {headers} is missing")
    found = next((each for _, each in FLAVOURS.values() if each and each.is_dir()), None)
    if found is None:
        pytest.skip("the C++ backend was not compiled: there is no library of TensorRT")
    (tmp_path / "include").symlink_to(headers)
    (tmp_path / "lib").symlink_to(libraries or found)
    return tmp_path, libraries is not None and libraries.is_dir()


def test_it_compiles_links_registers_and_refuses(package, tmp_path):
    root, whole = package
    nvcc = cuda_compilers.find_nvcc()
    if nvcc is None:
        pytest.skip("the C++ backend for TensorRT was not compiled: there is no nvcc")
    build = tmp_path / "build"
    options = ["-DFDCN_TENSORRT=ON", "-DFDCN_ONNXRUNTIME=OFF", "-DFDCN_TESTS=ON", "-DFDCN_CUDA_ARCHITECTURES=86"]
    configure(ROOT / "runtime" / "cpp", build, *options, f"-DTENSORRT_ROOT={root}", f"-DNVCC={nvcc.path}")
    target = "tensorrt_linked_tests" if whole else "part_tensorrt"
    run("cmake", "--build", build, "--target", target, "--parallel", os.cpu_count())
    if whole:
        assert "[  PASSED  ] 5 tests." in run(build / target, env=environment())
    shutil.rmtree(build)
