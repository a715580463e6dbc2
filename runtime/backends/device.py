"""Memory and a stream of the GPU, through CUDA's runtime; every call is checked."""

import contextlib
from typing import Any

import numpy as np

from fdcn.errors import FdcnError

_OUT_OF_MEMORY, _OLD_DRIVER = 2, 35
"""cudaErrorMemoryAllocation and cudaErrorInsufficientDriver."""


class Device:
    """A stream of its own on the default GPU, and the memory that is copied on it. `close` ends it, once."""

    def __init__(self) -> None:
        from cuda.bindings import runtime

        self._cuda = runtime
        self._closing = contextlib.ExitStack()
        self.stream = int(self.call("creating a stream", "cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking))
        self._closing.callback(runtime.cudaStreamDestroy, self.stream)

    def call(self, doing: str, function: str, *arguments: Any) -> Any:
        """Call CUDA; its results without the status. `doing` names the work, and its tensor, in errors.

        Raises FdcnError where memory or the driver does not suffice, and RuntimeError for whatever else goes wrong.
        """
        status, *results = getattr(self._cuda, function)(*arguments)
        if int(status):
            text = self._cuda.cudaGetErrorString(status)[1].decode(errors="replace")
            if int(status) == _OUT_OF_MEMORY:
                raise FdcnError(
                    f"the GPU's memory does not suffice for {doing}; free some, or take a smaller size or count"
                )
            if int(status) == _OLD_DRIVER:
                raise FdcnError(f"{doing}: {text}; update NVIDIA's driver, or install an older cuda-bindings")
            raise RuntimeError(f"{doing}: {function}: {text} ({int(status)})")
        return results[0] if results else None

    def synchronize(self, doing: str) -> None:
        """Wait until the stream has done all that it was given; raises what went wrong there."""
        self.call(doing, "cudaStreamSynchronize", self.stream)

    def buffer(self, what: str) -> "Buffer":
        """Memory for a tensor, none yet; `what` names it in errors."""
        made = Buffer(self, what)
        self._closing.callback(made.release)
        return made

    def close(self) -> None:
        """Give back the buffers, then the stream."""
        self._closing.close()


class Buffer:
    """A tensor's memory on the device, which grows as needed."""

    def __init__(self, device: Device, what: str) -> None:
        self._device, self.what = device, what
        self.address, self._size = 0, 0

    def reserve(self, size: int) -> int:
        """Hold at least so many bytes, and say where. Growing is for a stream with nothing to do: the rest is lost."""
        if size > self._size:
            self.release()
            self.address = int(self._device.call(f"{self.what}, {size / 1e6:.1f} MB", "cudaMalloc", size))
            self._size = size
        return self.address

    def upload(self, array: np.ndarray) -> None:
        """Copy a contiguous array in; it must stay until the device is synchronized."""
        self._copy(self.address, array.ctypes.data, array.nbytes, "cudaMemcpyHostToDevice")

    def download(self, array: np.ndarray) -> None:
        """Copy out into a contiguous array, which is filled once the device is synchronized."""
        self._copy(array.ctypes.data, self.address, array.nbytes, "cudaMemcpyDeviceToHost")

    def release(self) -> None:
        """Give the memory back."""
        if self.address:
            self._device.call(self.what, "cudaFree", self.address)
            self.address, self._size = 0, 0

    def _copy(self, to: int, source: int, size: int, kind: str) -> None:
        direction = getattr(self._device._cuda.cudaMemcpyKind, kind)
        self._device.call(f"copying {self.what}", "cudaMemcpyAsync", to, source, size, direction, self._device.stream)
