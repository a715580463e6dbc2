"""The native libraries: what compiles them, and where the compiled ones are kept.

    python -m fdcn.plugins.libraries ops                   # builds, prints the path
    python -m fdcn.plugins.libraries tensorrt --cuda 12    # for drivers of CUDA 12

A library lies in the user's cache under the hash of its sources, so that one of another version is never taken; a wheel
for Linux brings it along under the same name (scripts/linux_wheel.py). The TensorRT plugin is there once for each major
version of CUDA: one of CUDA 13 needs NVIDIA's driver 580 or newer, one of CUDA 12 driver 525. TensorRT's own version
does not matter to it.
"""

import argparse
import dataclasses
import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fdcn import cache
from fdcn.errors import FdcnError
from fdcn.plugins import contract, cuda_compilers, embedding, nvrtc

SOURCES = Path(__file__).parent / "native"
PREBUILT = Path(__file__).parent / "prebuilt"
"""Where a wheel for Linux has the libraries."""
DEPS = Path(__file__).parents[1] / "build" / "deps"
"""Where a source tree keeps the headers that scripts/fetch_headers.py brings."""
CUDA_VERSIONS = (13, 12)


@dataclasses.dataclass(frozen=True)
class Library:
    """One that can be built: what it is for, and the header that it needs of another project."""

    file: str
    what: str
    header: str
    option: str
    """The variable of CMakeLists.txt that takes the header's folder."""
    root: str
    """The environment variable that names the other project's folder."""
    fetched: tuple[str, ...]
    """Folders of `DEPS` with the header."""
    sources: tuple[str, ...]
    """Files of `SOURCES` that it is made from."""
    cuda: bool = False
    """Whether it has a kernel for GPUs."""


LIBRARIES = {
    "ops": Library(
        "libfdcn_ops.so",
        "the operator for ONNX Runtime on a CPU",
        "onnxruntime_cxx_api.h",
        "ONNXRUNTIME_INCLUDE",
        "ONNXRUNTIME_ROOT",
        ("onnxruntime",),
        (
            *("CMakeLists.txt", "onnxruntime_ops.cpp", "cpu_dispatch.cpp", "cpu_kernel.cpp", "cpu_kernel.h"),
            *("cpu_vector.h", "shape.h", "tap.h"),
        ),
    ),
    "tensorrt": Library(
        "libfdcn_tensorrt.so",
        "the TensorRT plugin",
        "NvInferRuntime.h",
        "TENSORRT_INCLUDE",
        "TENSORRT_ROOT",
        ("tensorrt-rtx-1.7", "tensorrt-11.4"),
        (
            *("CMakeLists.txt", "nvcc.cmake", "tensorrt_plugin.cpp", "launch.h", "launch.cu", "launch_embedded.cpp"),
            *("entries.cu", "kernel.cuh", "shape.h", "tap.h"),
        ),
        cuda=True,
    ),
}
_INCLUDE = ("include", "include/onnxruntime", "include/onnxruntime/core/session", ".", "include/x86_64-linux-gnu")
"""Folders of a project's package that may hold its headers."""


@functools.cache
def find(kind: str) -> Path | None:
    """The library built from these very sources, or None; of a CUDA that the driver runs, if that matters.

    Compiles nothing, and says the same all through a process.
    """
    return _there(kind, cuda_compilers.newest_cuda() if LIBRARIES[kind].cuda else None)


def build(kind: str, cuda: int | None = None, architectures: Sequence[int] = embedding.ARCHITECTURES) -> Path:
    """Build a library, unless one that serves is there already, and return its path.

    `cuda` is the newest major version of CUDA that the drivers run, if not this machine's. A kernel is compiled for
    all `architectures` that the compiler knows, as 86 for sm_86; `find` finds libraries with the default ones.
    Raises FdcnError where a header, CMake or a compiler is missing, or with the compiler's first complaint.
    """
    library = LIBRARIES[kind]
    newest = cuda or cuda_compilers.newest_cuda() if library.cuda else None
    usual = not library.cuda or tuple(architectures) == embedding.ARCHITECTURES
    if usual and (path := _there(kind, newest)):
        return path
    options = Options(architectures, cuda_compilers.choose(newest) if library.cuda else None)
    made_from = [*_made_from(kind, options.cuda), *([] if usual else [str(architectures)])]
    path = cache.artifact(library.file, made_from, lambda out: _compile(library, options, out))
    find.cache_clear()
    return path


def _there(kind: str, newest: int | None) -> Path | None:
    versions: Sequence[int | None] = [None]
    if LIBRARIES[kind].cuda:
        versions = [version for version in CUDA_VERSIONS if newest is None or version <= newest]
    for version in versions:
        name = cache.named(LIBRARIES[kind].file, _made_from(kind, version))
        for folder in (lambda: PREBUILT, cache.folder):  # a user may have no cache
            if (path := folder() / name).exists():
                return path
    return None


@dataclasses.dataclass(frozen=True)
class Options:
    """How a kernel is compiled, if there is one."""

    architectures: Sequence[int]
    compiler: cuda_compilers.Nvcc | nvrtc.Compiler | None = None

    @property
    def cuda(self) -> int | None:
        return self.compiler.version[0] if self.compiler else None

    def cmake(self, folder: Path) -> list[str]:
        """Variables of CMakeLists.txt; what NVRTC compiles is written into the folder."""
        if self.compiler is None:
            return []
        if isinstance(self.compiler, cuda_compilers.Nvcc):
            return [f"-DNVCC={self.compiler.path}", f"-DARCHITECTURES={';'.join(map(str, self.architectures))}"]
        embedding.write(folder, self.compiler, self.architectures)
        return [f"-DEMBEDDED={folder}", f"-DCUDA_INCLUDE={cuda_compilers.headers(self.compiler)}"]


@functools.cache
def _made_from(kind: str, cuda: int | None) -> tuple[bytes | str, ...]:
    contents = [part for name in LIBRARIES[kind].sources for part in (name, (SOURCES / name).read_bytes())]
    return kind, platform.system(), platform.machine(), str(cuda), contract.header(), *contents


def _compile(library: Library, options: Options, out: Path) -> None:
    include = _include(library)
    with tempfile.TemporaryDirectory() as folder:
        generator = ["-G", "Ninja"] if _program("ninja") else []
        cmake = _program("cmake")
        if cmake is None:
            raise FdcnError(f"building {library.what} needs CMake and a C++ compiler: pip install cmake ninja")
        chosen = [
            f"-D{library.option}={include}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            *options.cmake(Path(folder)),
        ]
        _run(cmake, "-S", str(SOURCES), "-B", folder, *generator, *chosen, library=library)
        _run(cmake, "--build", folder, "--parallel", str(os.cpu_count()), library=library)
        shutil.copyfile(Path(folder) / library.file, out)


def _include(library: Library) -> Path:
    """Folder of the library's foreign header. Raises FdcnError where it is nowhere."""
    named = os.environ.get(library.root)
    roots = [Path(named)] if named else [DEPS / name for name in library.fetched] + [Path("/usr"), Path("/usr/local")]
    for root in roots:
        for folder in _INCLUDE:
            if (root / folder / library.header).is_file():
                return (root / folder).resolve()
    where = f"{named} has no {library.header}" if named else f"{library.header} was not found"
    raise FdcnError(
        f"{where}, which building {library.what} needs; set {library.root} to the folder of that project's package"
        + (f", or run python scripts/fetch_headers.py {DEPS}" if DEPS.parents[1].joinpath("scripts").is_dir() else "")
    )


def _program(name: str) -> str | None:
    """A program on the path, or beside this Python, where pip puts CMake and Ninja."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _run(*words: str, library: Library) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        complaint = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no output")
        raise FdcnError(f"building {library.what} failed: {complaint}")


def main() -> None:
    """Build one library and print where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m fdcn.plugins.libraries", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("kind", choices=LIBRARIES)
    parser.add_argument("--cuda", type=int, choices=CUDA_VERSIONS, help="newest CUDA that the drivers run")
    options = parser.parse_args()
    try:
        print(build(options.kind, options.cuda))
    except FdcnError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
