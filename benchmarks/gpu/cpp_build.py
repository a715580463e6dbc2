"""What stage gpu-cpp builds: the C++ runtime with TensorRT, installed, and the program that the checks talk with."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from shipped import device
from stages import ROOT

from fdcn.plugins import cuda_compilers

DEPS = ROOT / "build" / "deps"
PROGRAM = Path(__file__).with_name("cpp_pictures.cpp")


def build(work: Path) -> dict[str, Any]:
    """Compile, install, and link the checks' program with what was installed."""
    nvcc = cuda_compilers.find_nvcc()
    assert nvcc, "there is no nvcc: CUDA_HOME can name its folder"
    assert os.environ.get("TENSORRT_ROOT"), "TENSORRT_ROOT names no folder of TensorRT"
    folder, installed = work / "build", work / "installed"
    start = time.perf_counter()
    run(
        *("cmake", "-S", ROOT / "runtime" / "cpp", "-B", folder, "-DFDCN_TENSORRT=ON", f"-DNVCC={nvcc.path}"),
        *(
            f"-DFDCN_CUDA_ARCHITECTURES={device().compute.removeprefix('sm_')}",
            f"-DPython3_EXECUTABLE={sys.executable}",
        ),
        f"-DFDCN_ONNXRUNTIME={'ON' if (DEPS / 'onnxruntime-cpp').is_dir() else 'OFF'}",
        *(f"-DCMAKE_PREFIX_PATH={DEPS / 'system'}", f"-DCMAKE_INSTALL_PREFIX={installed}", "-DFDCN_TESTS=ON"),
        *(["-G", "Ninja"] if shutil.which("ninja") else []),
    )
    run("cmake", "--build", folder, "--parallel", os.cpu_count())
    run("cmake", "--install", folder)
    library = next(installed.glob("lib*/libfdcn.so"))
    run(
        *(nvcc.path, "-std=c++17", "-O2", PROGRAM, "-o", work / "pictures", "-I", installed / "include"),
        *(
            "-L",
            library.parent,
            "-lfdcn",
            "-Xlinker",
            f"-rpath={library.parent}",
            "-Xlinker",
            "--allow-shlib-undefined",
        ),
    )
    return {"seconds": time.perf_counter() - start, "bytes": library.stat().st_size, "cuda": nvcc.version}


def tests(work: Path) -> dict[str, Any]:
    """The C++ runtime's own tests, on this machine."""
    said = run("ctest", "--test-dir", work / "build", "--output-on-failure")
    return {"passed": said.count(" Passed ")}


def environment() -> dict[str, str]:
    """This process's, in which TensorRT's library and what lies in build/deps is found."""
    root = Path(os.environ.get("TENSORRT_ROOT", ""))
    folders = [root / "lib", root, DEPS / "onnxruntime-cpp" / "lib", *(DEPS / "system").glob("lib*/**")]
    path = [str(folder) for folder in folders if folder.is_dir()] + [os.environ.get("LD_LIBRARY_PATH", "")]
    return os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, path))}


def run(*words: object) -> str:
    """Run a program; what it printed. Raises AssertionError with the end of it where it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stdout[-1500:]}"
    return done.stdout
