"""CUDA's compiler on this machine, for the libraries that have a kernel."""

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
from importlib import util
from pathlib import Path

from fdcn import gpu
from fdcn.errors import FdcnError
from fdcn.plugins import nvrtc


@dataclasses.dataclass(frozen=True)
class Nvcc:
    """One installed nvcc."""

    path: Path
    version: tuple[int, int]
    """Of CUDA, as (13, 0)."""


def find_nvcc(newest: int | None = None) -> Nvcc | None:
    """The first nvcc of at most a major CUDA version: in $CUDA_HOME, pip's packages, the path, CUDA's usual place."""
    roots = [Path(root) for root in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")) if root]
    if packages := util.find_spec("nvidia"):
        roots += [Path(site) / "cu13" for site in packages.submodule_search_locations or ()]
    paths = [root / "bin" / "nvcc" for root in roots]
    if on_path := shutil.which("nvcc"):
        paths.append(Path(on_path))
    for path in (*paths, Path("/usr/local/cuda/bin/nvcc")):
        version = _version(path)
        if version and (newest is None or version[0] <= newest):
            return Nvcc(path, version)
    return None


def choose(newest: int | None) -> Nvcc | nvrtc.Compiler:
    """What compiles the kernel for drivers of a major CUDA version: nvcc, or else NVRTC. FdcnError where neither is."""
    if nvcc := find_nvcc(newest):
        return nvcc
    try:
        return nvrtc.get(newest)
    except FdcnError as error:
        wanted = f"of CUDA {newest} or older " if newest else ""
        raise FdcnError(f"no nvcc {wanted}was found, which CUDA_HOME can name the folder of; {error}") from error


def headers(compiler: nvrtc.Compiler) -> Path:
    """A folder of CUDA's headers for a C++ compiler and what this NVRTC compiled. Raises FdcnError where there is none.

    Pip's packages have them in parts; any version's will do.
    """
    nvcc, newest = find_nvcc(), nvrtc.find()
    known = [compiler.include]
    known += [nvcc.path.resolve().parents[1] / "include"] if nvcc else []
    known += [newest.include] if newest else []
    for folder in known:
        if all((folder / name).is_file() for name in ("cuda.h", "cuda_runtime_api.h", "crt/host_defines.h")):
            return folder
    raise FdcnError(
        "CUDA's headers were not found; name CUDA's folder in CUDA_HOME, or pip install nvidia-cuda-runtime "
        "nvidia-cuda-crt"
    )


def newest_cuda() -> int | None:
    """The major CUDA version that this machine's driver runs at most; None where there is no GPU, or no telling."""
    with contextlib.suppress(FdcnError):
        if found := gpu.first():
            return int(found.cuda.partition(".")[0])
    return None


def _version(nvcc: Path) -> tuple[int, int] | None:
    try:
        said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"release (\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None
