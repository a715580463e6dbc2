"""CUDA graphs: work that is recorded once and launched as one."""

from collections.abc import Callable
from typing import Any

from fdcn.runtime.backends.device import Device


class CudaGraph:
    """What `work(stream)` gives to a stream, recorded while nothing of it runs. `close` gives it back, once.

    Addresses and sizes are recorded as they are now; what lies in memory is read at each launch. Other threads may use
    the device meanwhile. Raises RuntimeError, or what `work` raises, where something in it cannot be recorded: the
    stream is as before then.
    """

    def __init__(self, device: Device, stream: int, work: Callable[[int], None]) -> None:
        self._device = device
        recorded = _recorded(device, stream, work)
        try:
            self._graph: Any = device.call("instantiating a CUDA graph", "cudaGraphInstantiate", recorded, 0)
        finally:
            device.call("giving back a CUDA graph", "cudaGraphDestroy", recorded)

    def launch(self) -> None:
        """Give all of it to the device's own stream."""
        self._device.call("launching a CUDA graph", "cudaGraphLaunch", self._graph, self._device.stream)

    def close(self) -> None:
        """Give the graph back; it is not running."""
        if self._graph is not None:
            self._device.call("giving back a CUDA graph", "cudaGraphExecDestroy", self._graph)
            self._graph = None


def _recorded(device: Device, stream: int, work: Callable[[int], None]) -> Any:
    doing = "recording a CUDA graph"
    device.call(doing, "cudaStreamBeginCapture", stream, device.thread_local_capture)
    try:
        work(stream)
    except BaseException:
        try:
            # Ends the recording; where it has become invalid that is an error of its own, and the first one counts.
            abandoned = device.call(doing, "cudaStreamEndCapture", stream)
            device.call(doing, "cudaGraphDestroy", abandoned)
        except RuntimeError:
            pass
        raise
    return device.call(doing, "cudaStreamEndCapture", stream)
