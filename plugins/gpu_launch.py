"""Kernels on a GPU, launched from Python through cuda-python: the operator's, and how any is loaded."""

import ctypes
import functools
from typing import Any

from fdcn.plugins import nvrtc, spec

THREADS = 288
TILE_ROWS, TILE_COLUMNS = 4, 8
"""kernel.cuh's: threads of a block, and the tokens that one works on."""
_MOST = 2**31 - 1, 2**16 - 1, 2**16 - 1, 2**31 - 1, 2**24 - 1, 2**24 - 1, 2**26 - 1


class Launch:
    """One shape of the operator, ready to be launched any number of times, on the device that is current.

    Making one may compile and loads the kernel, so it comes before a stream is captured; calling it does nothing but
    launch. Sizes are `spec`'s. Raises FdcnError where nothing can compile for the device, ValueError for impossible
    sizes, and RuntimeError with what the driver said.
    """

    def __init__(self, dtype: str, N: int, H: int, W: int, G: int, C: int, K: int) -> None:
        self.grid = grid(N, H, W, G, C, K)
        self._function = _function(dtype)
        self._arguments = _Arguments(sizes=(N, H, W, G, C, K))
        start = ctypes.addressof(self._arguments)
        offsets = [getattr(_Arguments, name).offset for name in spec.INPUTS]
        offsets += [_Arguments.sizes.offset + 4 * i for i in range(6)] + [_Arguments.out.offset]
        self._pointers = (ctypes.c_void_p * len(offsets))(*(start + offset for offset in offsets))

    def __call__(self, projection: int, prior: int, s_max: int, out: int, stream: int) -> None:
        """Launch on a stream (a CUstream as a number); the tensors are device addresses."""
        if 0 in self.grid:
            return
        arguments = self._arguments
        arguments.projection, arguments.prior, arguments.s_max, arguments.out = projection, prior, s_max, out
        call(
            "cuLaunchKernel",
            self._function,
            *self.grid,
            *(THREADS, 1, 1),
            0,
            stream,
            ctypes.addressof(self._pointers),
            0,
        )


def grid(N: int, H: int, W: int, G: int, C: int, K: int) -> tuple[int, int, int]:
    """Blocks of a launch, as kernel.cuh wants them. Raises ValueError for a shape that launch.h does not allow."""
    blocks = N * -(-W // TILE_COLUMNS), -(-H // TILE_ROWS), G
    sizes = (*blocks, H * W, H, W, spec.projection_width(G, C, K))
    if any(size > most for size, most in zip(sizes, _MOST, strict=True)):
        raise ValueError(f"{N} images of {W}x{H} tokens, {G} groups, {C} channels, {K} taps are too much for a launch")
    return blocks


class _Arguments(ctypes.Structure):
    """The kernel's parameters; see entries.cu."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in spec.INPUTS),
        ("sizes", ctypes.c_int * 6),
        (spec.OUTPUT, ctypes.c_void_p),
    )


def _function(dtype: str) -> Any:
    """The operator's kernel in the current context, loaded there."""
    return function(nvrtc.OPERATOR, nvrtc.ENTRIES[dtype])


def function(source: nvrtc.Source, name: str) -> Any:
    """A kernel of a file, compiled for the current context's device and loaded there: what cuLaunchKernel takes.

    Raises FdcnError where nothing can compile for the device, and RuntimeError with what the driver said.
    """
    from cuda.bindings import driver

    device = call("cuCtxGetDevice")
    attribute = driver.CUdevice_attribute
    major, minor = (
        call("cuDeviceGetAttribute", value, device)
        for value in (
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    kernel = call("cuLibraryGetKernel", _library(source, f"sm_{major}{minor}"), name.encode())
    return call("cuKernelGetFunction", kernel)


@functools.cache
def _library(source: nvrtc.Source, compute: str) -> Any:
    """The kernels of a file for one architecture, which every context of the process shares."""
    compiler = nvrtc.get(newest=call("cuDriverGetVersion") // 1000)
    code = nvrtc.image(compute, compiler, source).read_bytes() + b"\0"  # which ends PTX
    return call("cuLibraryLoadData", code, [], [], 0, [], [], 0)


def call(function: str, *arguments: Any) -> Any:
    """Call CUDA's driver; what it gives, without the status. Raises RuntimeError with the status's name."""
    from cuda.bindings import driver

    status, *results = getattr(driver, function)(*arguments)
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"{function}: {status.name}")
    return results[0] if results else None
