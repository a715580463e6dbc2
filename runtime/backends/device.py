"""One GPU through CUDA's runtime: its memory, a stream, and CUDA graphs of work on it; every call is checked."""

import contextlib
import ctypes
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fdcn.errors import FdcnError, OutOfMemory
from fdcn.messages import say
from fdcn.plugins import gpu_launch
from fdcn.runtime.memory import format_bytes

_OUT_OF_MEMORY, _OLD_DRIVER = 2, 35
"""cudaErrorMemoryAllocation and cudaErrorInsufficientDriver."""


class DeviceOutOfMemory(OutOfMemory):
    """The device has less memory free than something needs, in bytes."""

    def __init__(self, what: str, needed: int, free: int, mend: str | None = None) -> None:
        super().__init__(
            say(
                "device.out_of_memory",
                what=what,
                needed=format_bytes(needed),
                free=format_bytes(free),
                mend=mend or say("device.free_some_or_smaller"),
            )
        )
        self.what, self.needed, self.free = what, needed, free

    def __reduce__(self) -> tuple[type[OutOfMemory], tuple[str]]:
        """What another process gets: its message."""
        return OutOfMemory, (str(self),)


class Device:
    """A GPU by its number, and a stream of its own on it. `close` ends it, once.

    What is called here, and what kernels and TensorRT do, is for the thread's current device: `current` makes it so.
    """

    def __init__(self, ordinal: int = 0) -> None:
        from cuda.bindings import runtime

        self._cuda = runtime
        self.ordinal = ordinal
        self.thread_local_capture = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.spare: list[Callable[[], bool]] = []
        """What can give memory back when it is short, each saying whether it did."""
        self._closing = contextlib.ExitStack()
        self._context = _context(ordinal)
        with self.current():
            self.stream = self.new_stream()
        self._closing.callback(self.free_stream, self.stream)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make this the thread's device for the time of a block."""
        gpu_launch.call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            gpu_launch.call("cuCtxPopCurrent")

    def call(self, doing: str, function: str, *arguments: Any) -> Any:
        """Call CUDA; its results without the status. `doing` names the work, and its tensor, in errors.

        Raises OutOfMemory, FdcnError where the driver does not suffice, and RuntimeError for whatever else goes wrong.
        """
        status, *results = getattr(self._cuda, function)(*arguments)
        if int(status):
            self._cuda.cudaGetLastError()  # or the next kernel's launch would be blamed for it
            text = self._cuda.cudaGetErrorString(status)[1].decode(errors="replace")
            if int(status) == _OUT_OF_MEMORY:
                raise OutOfMemory(say("device.memory", doing=doing))
            if int(status) == _OLD_DRIVER:
                raise FdcnError(say("device.old_driver", doing=doing, reason=text))
            raise RuntimeError(f"{doing}: {function}: {text} ({int(status)})")
        if not results:
            return None
        return results[0] if len(results) == 1 else results

    def free_memory(self) -> int:
        """Bytes that nobody has taken."""
        return self._memory()[0]

    def total_memory(self) -> int:
        """Bytes of the device."""
        return self._memory()[1]

    def _memory(self) -> tuple[int, int]:
        with self.current():
            free, total = self.call("asking for the GPU's memory", "cudaMemGetInfo")
            return int(free), int(total)

    def new_stream(self) -> int:
        """A stream that waits for no other; `free_stream` gives it back."""
        return int(self.call("creating a stream", "cudaStreamCreateWithFlags", self._cuda.cudaStreamNonBlocking))

    def free_stream(self, stream: int) -> None:
        """Give a stream back."""
        self.call("giving back a stream", "cudaStreamDestroy", stream)

    def new_event(self, timing: bool = False) -> int:
        """An event, which measures time where that is wanted; `free_event` gives it back."""
        flags = self._cuda.cudaEventDefault if timing else self._cuda.cudaEventDisableTiming
        return int(self.call("creating an event", "cudaEventCreateWithFlags", flags))

    def between(self, first: int, second: int) -> float:
        """Seconds between two events that measure time and have happened."""
        return float(self.call("reading the device's clock", "cudaEventElapsedTime", first, second)) / 1e3

    def free_event(self, event: int) -> None:
        """Give an event back."""
        self.call("giving back an event", "cudaEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        """Let an event happen when a stream has done all that it was given so far."""
        self.call("recording an event", "cudaEventRecord", event, stream)

    def wait(self, event: int, doing: str) -> None:
        """Wait for an event; raises what went wrong on the device before it, which `doing` names."""
        self.call(doing, "cudaEventSynchronize", event)

    def follow(self, other: int) -> None:
        """Let this device's stream begin what it is given from now on after all that another stream was given."""
        event = self.new_event()
        try:
            self.record(event, other)
            self.call("waiting for the caller's stream", "cudaStreamWaitEvent", self.stream, event, 0)
        finally:
            self.free_event(event)

    def synchronize(self, doing: str) -> None:
        """Wait until the stream has done all that it was given; raises what went wrong there."""
        self.call(doing, "cudaStreamSynchronize", self.stream)

    def allocate(self, what: str, size: int) -> int:
        """Address of new memory. Where it is short, everything `spare` is given back and it is tried once more.

        Raises DeviceOutOfMemory with what is free then.
        """
        for spare in (True, False):
            status, address = self._cuda.cudaMalloc(size)
            if int(status) != _OUT_OF_MEMORY:
                break
            self._cuda.cudaGetLastError()
            given_back = [give_back() for give_back in self.spare] if spare else []
            if not any(given_back):
                raise DeviceOutOfMemory(what, size, self.free_memory())
        if int(status):
            raise RuntimeError(f"{what}: cudaMalloc: {self._cuda.cudaGetErrorString(status)[1].decode()}")
        return int(address)

    def free(self, address: int) -> None:
        """Give memory back; the device finishes what it was given first."""
        self.call("giving back memory", "cudaFree", address)

    def allocate_pinned(self, what: str, size: int) -> np.ndarray:
        """New memory of the host that is copied without its processor, as uint8 [size]; see `free_pinned`."""
        address = int(self.call(what, "cudaHostAlloc", size, self._cuda.cudaHostAllocDefault))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def free_pinned(self, memory: np.ndarray) -> None:
        """Give it back; nobody may have a view of it any more."""
        self.call("giving back memory", "cudaFreeHost", memory.ctypes.data)

    def copy(self, what: str, to: int, source: int, size: int, kind: str, stream: int | None = None) -> None:
        """Copy `size` bytes on a stream, its own if None. `kind` is "HostToDevice" and so on, as CUDA has it."""
        direction = getattr(self._cuda.cudaMemcpyKind, f"cudaMemcpy{kind}")
        where = self.stream if stream is None else stream
        self.call(f"copying {what}", "cudaMemcpyAsync", to, source, size, direction, where)

    def close(self) -> None:
        """Give the stream back."""
        with self.current():
            self._closing.close()


@functools.cache
def _context(ordinal: int) -> Any:
    """The context of a GPU that CUDA's runtime has, too; it stays for as long as the process.

    Putting it in place of the thread's own and back leaves alone which device others have chosen there.
    """
    gpu_launch.call("cuInit", 0)
    return gpu_launch.call("cuDevicePrimaryCtxRetain", gpu_launch.call("cuDeviceGet", ordinal))


class Buffer:
    """A tensor's memory on the device, which grows as needed; `release` gives it back."""

    def __init__(self, device: Device, what: str) -> None:
        self._device, self.what = device, what
        self.address, self.size = 0, 0

    def reserve(self, size: int) -> int:
        """Hold at least so many bytes, and say where. Growing is for a stream with nothing to do: the rest is lost."""
        if size > self.size:
            self.release()
            self.address = self._device.allocate(self.what, size)
            self.size = size
        return self.address

    def upload(self, array: np.ndarray) -> None:
        """Copy a contiguous array in; it must stay until the device is synchronized."""
        self._device.copy(self.what, self.address, array.ctypes.data, array.nbytes, "HostToDevice")

    def download(self, array: np.ndarray) -> None:
        """Copy out into a contiguous array, which is filled once the device is synchronized."""
        self._device.copy(self.what, array.ctypes.data, self.address, array.nbytes, "DeviceToHost")

    def release(self) -> None:
        """Give the memory back."""
        if self.address:
            self._device.free(self.address)
            self.address, self.size = 0, 0


class Memory:
    """Memory of a GPU that is given back when nobody refers to it, whatever has become of the device's other things."""

    def __init__(self, device: Device, what: str, size: int) -> None:
        self.address = device.allocate(what, max(1, size))
        weakref.finalize(self, device.free, self.address)
