"""The NVIDIA GPUs of this machine, asked of the driver itself: nothing is imported that a machine may lack."""

import ctypes
import dataclasses
import sys
from typing import Any

from fdcn.errors import FdcnError
from fdcn.messages import say

COMPUTE_CAPABILITY = (75, 76)
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
NO_DEVICE = (34, 100)
"""CUDA_ERROR_STUB_LIBRARY and CUDA_ERROR_NO_DEVICE: what cuInit says where there is no GPU."""

FIRST = {"int8": 75, "fp8": 89}
"""The first architecture whose tensor cores multiply in a precision, of those that not all have."""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One device."""

    name: str
    compute: str
    """Architecture, as sm_86."""
    memory: int
    """In bytes."""
    cuda: str
    """Newest CUDA version that the driver runs, as 13.0."""
    driver: str | None
    """Version of the kernel driver, as 580.65.06, where NVML says it."""
    index: int = 0
    """Its number among the devices that CUDA shows this process."""


class NoGpu(OSError):
    """There is no GPU, or no driver for one; the message says which."""


def first() -> Gpu | None:
    """The device that CUDA programs take by default (CUDA_VISIBLE_DEVICES chooses); None where there is no GPU.

    Raises FdcnError where there is a driver that does not work.
    """
    try:
        return devices()[0]
    except NoGpu:
        return None
    except OSError as error:
        raise FdcnError(say("gpu.driver_broken", reason=error)) from error


def numbered(index: int | None) -> Gpu | None:
    """The device of a number; for None the default one, which may be none at all.

    Raises FdcnError where there is no such device, with those that there are, or where the driver does not work.
    """
    default = first()
    if index is None:
        return default
    if default is None:
        raise FdcnError(say("gpu.none", device=index))
    found = [default] if index == 0 else devices()
    if not 0 <= index < len(found):
        there = ", ".join(f"{gpu.index}: {gpu.name}" for gpu in found)
        raise FdcnError(say("gpu.no_such", device=index, devices=there))
    return found[index]


def has_precision(compute: str, precision: str) -> bool:
    """Whether GPUs of an architecture, such as sm_86, multiply in a precision, such as "fp8"."""
    return int(compute.removeprefix("sm_")) >= FIRST.get(precision, 0)


def devices() -> list[Gpu]:
    """Every device, at least one. Raises NoGpu, and OSError with what the driver said where a call of it fails."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        raise NoGpu("no driver found") from None
    if (status := library.cuInit(0)) in NO_DEVICE:
        raise NoGpu(_said(library, "cuInit", status))
    if status:
        raise OSError(_said(library, "cuInit", status))
    count, cuda = ctypes.c_int(), ctypes.c_int()
    _call(library, "cuDeviceGetCount", ctypes.byref(count))
    _call(library, "cuDriverGetVersion", ctypes.byref(cuda))
    if not count.value:
        raise NoGpu("the driver sees no device")
    newest, driver = f"{cuda.value // 1000}.{cuda.value % 1000 // 10}", _driver_version()
    return [_device(library, index, newest, driver) for index in range(count.value)]


def _device(library: Any, index: int, cuda: str, driver: str | None) -> Gpu:
    device, memory, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(256)
    _call(library, "cuDeviceGet", ctypes.byref(device), index)
    _call(library, "cuDeviceGetName", name, len(name), device)
    _call(library, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    capability = [ctypes.c_int(), ctypes.c_int()]
    for value, attribute in zip(capability, COMPUTE_CAPABILITY, strict=True):
        _call(library, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    compute = "sm_" + "".join(str(value.value) for value in capability)
    return Gpu(name.value.decode(errors="replace"), compute, memory.value, cuda, driver, index)


def _call(library: Any, function: str, *arguments: Any) -> None:
    if status := getattr(library, function)(*arguments):
        raise OSError(_said(library, function, status))


def _said(library: Any, function: str, status: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(status, ctypes.byref(text))
    return f"{function}: {(text.value or b'unknown error').decode()} ({status})"


def _driver_version() -> str | None:
    """Version of the kernel driver, from NVML."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    version = ctypes.create_string_buffer(96)
    if library.nvmlInit_v2():
        return None
    failed = library.nvmlSystemGetDriverVersion(version, len(version))
    library.nvmlShutdown()
    return None if failed else version.value.decode()
