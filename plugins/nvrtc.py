"""NVIDIA's runtime compiler: kernels for a machine without nvcc, kept in the user's cache.

    python -m fdcn.plugins.nvrtc sm_86          # compiles, prints the path

It is called through its C interface, which CUDA 12 and 13 share: so the one that suits a driver or an engine can be
taken whatever cuda-python is installed, both can be installed side by side, and neither needs a GPU.
A cubin of CUDA 12 runs with drivers of CUDA 12 and 13, one of CUDA 13 with those of 13 alone. PTX must not be newer
than the driver.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import util
from pathlib import Path

from fdcn import cache
from fdcn.errors import FdcnError
from fdcn.plugins import contract, spec

SOURCES = Path(__file__).parent / "native"
SOURCE = "entries.cu"
HEADERS = ("kernel.cuh", "shape.h", "tap.h")
ENTRIES = {dtype: f"fdcn_{dtype}" for dtype in spec.DTYPES}
"""Name of the kernel in compiled code, by the dtype of the projection; `entries.cu` has the parameters."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of kernels, and the headers of this project that it includes."""

    folder: Path
    file: str
    headers: tuple[str, ...]
    """Beside the file. contract.h, which is generated, is always there."""
    macros: tuple[str, ...] = ()


def operator(dtypes: Sequence[str] = spec.DTYPES) -> Source:
    """MultiScaleDCN for projections of these dtypes."""
    return Source(SOURCES, SOURCE, HEADERS, tuple(f"FDCN_{dtype.upper()}" for dtype in dtypes))


OPERATOR = operator()

_WHEELS = {13: ("cu13/lib", "cu13/include"), 12: ("cuda_nvrtc/lib", "cuda_runtime/include")}
"""Folders of the library and of CUDA's headers in the wheels of a CUDA version, below site-packages/nvidia."""


@dataclasses.dataclass(frozen=True)
class Compiler:
    """One installed NVRTC."""

    library: Path
    include: Path
    """CUDA's headers, of the same version."""
    version: tuple[int, int]
    """Of CUDA, as (13, 0)."""
    architectures: tuple[int, ...]
    """What it compiles for, as 86 for sm_86."""

    def __str__(self) -> str:
        return f"NVRTC {'.'.join(map(str, self.version))}"


def find(newest: int | None = None) -> Compiler | None:
    """The newest compiler of at most a major CUDA version, or None where there is none, or none with its headers."""
    known = [compiler for compiler in _compilers() if newest is None or compiler.version[0] <= newest]
    return max(known, key=lambda compiler: compiler.version, default=None)


def get(newest: int | None = None) -> Compiler:
    """The compiler that `find` finds. Raises FdcnError where it finds none."""
    if compiler := find(newest):
        return compiler
    major = newest or max(_WHEELS)
    suffix = "" if major >= 13 else f"-cu{major}"
    raise FdcnError(
        f"NVRTC{f' for CUDA {newest}' if newest else ''} was not found, or not CUDA's headers beside it: "
        f"pip install nvidia-cuda-nvrtc{suffix} nvidia-cuda-runtime{suffix}, or name CUDA's folder in CUDA_HOME"
    )


def cubin(compute: str, compiler: Compiler, source: Source = OPERATOR) -> Path:
    """Machine code for one architecture, such as sm_86. Raises FdcnError for one that the compiler does not know."""
    return _compile(_architecture(compute, compiler), "CUBIN", compiler, source)


def ptx(compute: str, compiler: Compiler, source: Source = OPERATOR) -> Path:
    """Code that a driver finishes, for an architecture and all newer ones. Raises FdcnError as `cubin`."""
    return _compile(_architecture(compute, compiler), "PTX", compiler, source)


def image(compute: str, compiler: Compiler, source: Source = OPERATOR) -> Path:
    """Code that a GPU of this architecture runs: a cubin, or PTX where the compiler is older than the GPU."""
    number = _number(compute)
    if number in compiler.architectures:
        return cubin(compute, compiler, source)
    older = [known for known in compiler.architectures if known < number]
    if not older:
        raise FdcnError(
            f"{compiler} does not compile for {compute}; the oldest it knows is sm_{compiler.architectures[0]}"
        )
    return ptx(f"sm_{max(older)}", compiler, source)


def _number(compute: str) -> int:
    number = compute.removeprefix("sm_")
    if not number.isdigit():
        raise FdcnError(f"{compute!r} is no GPU architecture, such as sm_86")
    return int(number)


def _architecture(compute: str, compiler: Compiler) -> int:
    number = _number(compute)
    if number not in compiler.architectures:
        known = ", ".join(f"sm_{known}" for known in compiler.architectures)
        raise FdcnError(f"{compiler} does not compile for {compute}, but for {known}")
    return number


def _compile(architecture: int, kind: str, compiler: Compiler, source: Source) -> Path:
    target = f"{'sm' if kind == 'CUBIN' else 'compute'}_{architecture}"
    options = [f"--gpu-architecture={target}", "--std=c++17", *(f"--define-macro={m}" for m in source.macros)]
    files = {name: (source.folder / name).read_bytes() for name in (source.file, *source.headers)}
    files["contract.h"] = contract.header().encode()
    made_from = [str(compiler.version), kind, *options]
    made_from += [part for name in sorted(files) for part in (name, files[name].decode())]
    name = f"{Path(source.file).stem}-{target}.{kind.lower()}"
    return cache.artifact(
        name, made_from, lambda out: out.write_bytes(_call(compiler, files, source.file, options, kind))
    )


def _call(compiler: Compiler, files: dict[str, bytes], main: str, options: list[str], kind: str) -> bytes:
    """Compile one of the files; the others are all headers that are not CUDA's."""
    for builtins in compiler.library.parent.glob("libnvrtc-builtins.so.*"):  # NVRTC looks for it by its name alone
        ctypes.CDLL(str(builtins))
    library = ctypes.CDLL(str(compiler.library))
    headers = [name for name in files if name != main]
    options = [*options, f"--include-path={compiler.include}"]
    program = ctypes.c_void_p()
    made = library.nvrtcCreateProgram(
        ctypes.byref(program),
        files[main],
        main.encode(),
        len(headers),
        _strings(files[name] for name in headers),
        _strings(name.encode() for name in headers),
    )
    if made:
        raise RuntimeError(f"{compiler}: nvrtcCreateProgram gave {made}")
    try:
        if library.nvrtcCompileProgram(program, len(options), _strings(word.encode() for word in options)):
            log = _output(library, "ProgramLog", program).rstrip(b"\0").decode(errors="replace")
            raise FdcnError(f"{compiler} cannot compile {main}; is {compiler.include} of the same CUDA?\n{log}")
        return _output(library, kind, program).rstrip(b"\0") if kind == "PTX" else _output(library, kind, program)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _strings(texts: Iterable[bytes]) -> "ctypes.Array[ctypes.c_char_p]":
    values = list(texts)
    return (ctypes.c_char_p * len(values))(*values)


def _output(library: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    content = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, content)
    return content.raw


@functools.cache
def _compilers() -> tuple[Compiler, ...]:
    """Every compiler that loads and has its headers."""
    found: dict[Path, Compiler] = {}
    for folder, include in _folders():
        for library in sorted(folder.glob("libnvrtc.so.*")):
            if library.resolve() not in found and (include / "cuda_fp16.h").is_file():
                with contextlib.suppress(OSError, AttributeError):  # damaged, or far too old
                    found[library.resolve()] = _examine(library, include)
    return tuple(found.values())


def _folders() -> Iterator[tuple[Path, Path]]:
    """Where libraries and their headers may be: pip's wheels, CUDA_HOME, and CUDA's usual place."""
    nvidia = util.find_spec("nvidia")
    for site in (nvidia.submodule_search_locations or ()) if nvidia else ():
        for library, include in _WHEELS.values():
            yield Path(site) / library, Path(site) / include
    for root in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if root:
            yield from ((Path(root) / name, Path(root) / "include") for name in ("lib64", "lib"))


def _examine(library: Path, include: Path) -> Compiler:
    loaded = ctypes.CDLL(str(library))
    major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    loaded.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    loaded.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    architectures = (ctypes.c_int * count.value)()
    loaded.nvrtcGetSupportedArchs(architectures)
    return Compiler(library, include, (major.value, minor.value), tuple(sorted(architectures)))


def main() -> None:
    """Compile for one architecture and print where the result is."""
    parser = argparse.ArgumentParser(prog="python -m fdcn.plugins.nvrtc", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("compute", help="as sm_86")
    parser.add_argument("--cuda", type=int, help="newest major version of CUDA that the machine's driver runs")
    options = parser.parse_args()
    try:
        print(image(options.compute, get(options.cuda)))
    except FdcnError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
