"""What nvcc makes of the kernel and of the steps that led to it, for the GPU at hand; and calls of the kernel."""

import concurrent.futures
import ctypes
import functools
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stages import ROOT

from fdcn import gpu
from fdcn.plugins import contract, spec
from fdcn.plugins.cuda_compilers import find_nvcc

NATIVE, KERNELS = ROOT / "plugins" / "native", ROOT / "benchmarks" / "kernels"
STEPS = tuple(sorted(path.stem for path in KERNELS.glob("[0-9]_*.cu")))
SHIPPED = STEPS[-1]
TYPES = {name: getattr(torch, name) for name in spec.DTYPES}
LIBRARY, GATHER = "library", "gather"
_SOURCES = {
    LIBRARY: [NATIVE / "launch.cu", KERNELS / "binding.cu"],
    GATHER: [KERNELS / "gather.cu", KERNELS / "measure.cu"],
    **{step: [KERNELS / f"{step}.cu", KERNELS / "bench.cu", KERNELS / "measure.cu"] for step in STEPS},
}


def everything(work: Path) -> dict[str, Path]:
    """The library, the steps and the gather, compiled side by side."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(_SOURCES, pool.map(functools.partial(compiled, work), _SOURCES), strict=True))


def compiled(work: Path, name: str) -> Path:
    """One of them, from these very sources. Raises RuntimeError with what the compiler said."""
    nvcc, device = find_nvcc(), gpu.first()
    assert nvcc, "no nvcc was found; CUDA_HOME can name its folder"
    assert device
    root = nvcc.path.resolve().parents[1]
    command = [
        str(nvcc.path),
        "-std=c++17",
        "-O3",
        f"-arch={device.compute}",
        f"-L{root / 'lib'}",
        f"-L{root / 'lib64'}",
    ]
    command += ["-shared", "-Xcompiler", "-fPIC"] if name == LIBRARY else []
    made_from = hashlib.sha256(f"{command} {nvcc.version} {contract.header()}".encode())
    for path in sorted([*NATIVE.glob("*"), *KERNELS.glob("*")]):
        made_from.update(path.read_bytes())
    folder = work / f"compiled-{made_from.hexdigest()[:16]}"
    out = folder / name
    if not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}-headers").mkdir(exist_ok=True)
        (folder / f"{name}-headers" / "contract.h").write_text(contract.header())
        command += [f"-I{path}" for path in (folder / f"{name}-headers", NATIVE, KERNELS)]
        incoming = folder / f"{name}.incoming"
        done = subprocess.run([*command, *_SOURCES[name], "-o", incoming], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"nvcc cannot compile {name}: {(done.stdout + done.stderr)[-2000:]}")
        incoming.replace(out)
    return out


def run(program: Path, *words: object) -> list[dict[str, Any]]:
    """Run a compiled program and return its results. Raises RuntimeError with what it said where it fails."""
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program.name}: {done.stderr.strip() or f'ended with status {done.returncode}'}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Kernel:
    """launch.h, on tensors of the GPU."""

    def __init__(self, library: Path) -> None:
        self._launch = ctypes.CDLL(str(library)).fdcn_multi_scale_dcn

    def __call__(
        self,
        projection: torch.Tensor,
        prior: torch.Tensor,
        s_max: torch.Tensor,
        out: torch.Tensor,
        groups: int,
        taps: int,
    ) -> None:
        """Enqueue on the current stream; the tensors are contiguous, the sizes those of the projection."""
        N, H, W, width = projection.shape
        dtype = list(TYPES.values()).index(projection.dtype)
        channels = spec.value_width(width, groups, taps) // groups
        sizes = [*map(ctypes.c_longlong, (N, H, W)), groups, channels, taps]
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (projection, prior, s_max, out)]
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        if status := self._launch(dtype, *sizes, *pointers, stream):
            raise RuntimeError(f"the launch gave cudaError_t {status}")


def to_device(array: np.ndarray, offset: int = 0) -> torch.Tensor:
    """A copy on the GPU, so many elements past the start of an allocation."""
    raw = array.view(np.int16) if array.dtype.name == "bfloat16" else array
    flat = torch.from_numpy(np.ascontiguousarray(raw)).view(TYPES[array.dtype.name]).flatten()
    room = torch.empty(flat.numel() + offset, dtype=flat.dtype, device="cuda")
    room[offset:] = flat
    return room[offset:].view(array.shape)


def to_host(tensor: torch.Tensor) -> np.ndarray:
    """A NumPy array of the same numbers, bfloat16 included."""
    if tensor.dtype != torch.bfloat16:
        return tensor.cpu().numpy()
    import ml_dtypes

    return tensor.view(torch.int16).cpu().numpy().view(ml_dtypes.bfloat16)
