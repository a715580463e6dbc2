"""The native libraries: what compiles them, and where the compiled ones are kept.

    python -m fdcn.plugins.libraries ops        # builds, prints the path

A library lies in the user's cache under the hash of its sources, so that one of another version is never taken.
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
from pathlib import Path

from fdcn import cache
from fdcn.errors import FdcnError
from fdcn.plugins import contract

SOURCES = Path(__file__).parent / "native"
DEPS = Path(__file__).parents[1] / "build" / "deps"
"""Where a source tree keeps the headers that scripts/fetch_headers.py brings."""


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
}
_INCLUDE = ("include", "include/onnxruntime", "include/onnxruntime/core/session", ".")
"""Folders of a project's package that may hold its headers."""


@functools.cache
def find(kind: str) -> Path | None:
    """The library built from these very sources, or None. Compiles nothing, and says the same all through a process."""
    path = _location(kind)
    return path if path.exists() else None


def build(kind: str) -> Path:
    """Build a library, unless it is there already, and return its path in the cache.

    Raises FdcnError where the header, CMake or a compiler is missing, or with the compiler's first complaint.
    """
    path = cache.artifact(LIBRARIES[kind].file, _made_from(kind), lambda out: _compile(kind, out))
    find.cache_clear()
    return path


def _location(kind: str) -> Path:
    return cache.location(LIBRARIES[kind].file, _made_from(kind))


@functools.cache
def _made_from(kind: str) -> tuple[bytes | str, ...]:
    contents = [part for name in LIBRARIES[kind].sources for part in (name, (SOURCES / name).read_bytes())]
    return kind, platform.system(), platform.machine(), contract.header(), *contents


def _compile(kind: str, out: Path) -> None:
    library = LIBRARIES[kind]
    include = _include(library)
    with tempfile.TemporaryDirectory() as folder:
        generator = ["-G", "Ninja"] if _program("ninja") else []
        cmake = _program("cmake")
        if cmake is None:
            raise FdcnError(f"building {library.what} needs CMake and a C++ compiler: pip install cmake ninja")
        _run(cmake, "-S", str(SOURCES), "-B", folder, *generator, f"-D{library.option}={include}", library=library)
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
    parser = argparse.ArgumentParser(prog="python -m fdcn.plugins.libraries", description=__doc__.split("\n\n")[0])
    parser.add_argument("kind", choices=LIBRARIES)
    try:
        print(build(parser.parse_args().kind))
    except FdcnError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
