"""One graph of a TensorRT engine on the device: its context, its tensors' memory, and a run of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fdcn.errors import FdcnError
from fdcn.runtime.backends.device import Device

Range = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Smallest, best and largest shape of an input in a profile."""


class TrtGraph:
    """An engine and its one execution context. Not for two threads at a time; `close` before its device is closed."""

    def __init__(self, name: str, file: Path, trt: Any, runtime: Any, log: "Log", device: Device) -> None:
        """Load a serialised engine that has been checked. Raises FdcnError where TensorRT refuses it."""
        self.name, self._log, self._device = name, log, device
        self._engine = self._made(runtime.deserialize_cuda_engine(file.read_bytes()), f"cannot load {file}")
        self._context = self._made(self._engine.create_execution_context(), f"cannot make room to run {file}")
        self._profile = 0
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        self._types = {n: np.dtype(trt.nptype(self._engine.get_tensor_dtype(n))) for n in names}
        self._buffers = {n: device.buffer(f"tensor {n} of the {name}") for n in names}
        self.inputs, self.outputs = tuple(inputs), tuple(n for n in names if n not in inputs)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """A tensor's shape; dynamic axes are -1."""
        return tuple(self._engine.get_tensor_shape(tensor))

    def ranges(self, tensor: str) -> list[Range]:
        """An input's range in each profile."""
        every = (
            self._engine.get_tensor_profile_shape(tensor, i) for i in range(self._engine.num_optimization_profiles)
        )
        return [(tuple(low), tuple(best), tuple(high)) for low, best, high in every]

    def run(self, feeds: Mapping[str, np.ndarray], profile: int = 0) -> dict[str, np.ndarray]:
        """Run once in a profile that holds the inputs' shapes; gives every output as a new array.

        Raises FdcnError, naming the tensor and its shape, where TensorRT refuses or memory does not suffice.
        """
        stream = self._device.stream
        if profile != self._profile:
            self._accepted(self._context.set_optimization_profile_async(profile, stream), f"profile {profile}")
            self._profile = profile
        # The copies read these arrays until the stream is synchronized.
        held = {name: np.ascontiguousarray(feeds[name], self._types[name]) for name in self.inputs}
        for name, array in held.items():
            self._accepted(self._context.set_input_shape(name, array.shape), f"input {name} {list(array.shape)}")
        results = {name: self._result(name) for name in self.outputs}
        for name, array in (held | results).items():
            address = self._buffers[name].reserve(array.nbytes)
            self._accepted(self._context.set_tensor_address(name, address), f"the address of {name}")
        for name, array in held.items():
            self._buffers[name].upload(array)
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in held.items())
        self._accepted(self._context.execute_async_v3(stream), shapes)
        for name, array in results.items():
            self._buffers[name].download(array)
        self._device.synchronize(f"running the {self.name} with {shapes}")
        return results

    def close(self) -> None:
        """Give up the context, then the engine."""
        self._context = None
        self._engine = None

    def _result(self, output: str) -> np.ndarray:
        """An array for an output, of the shape that follows from the inputs'."""
        shape = tuple(self._context.get_tensor_shape(output))
        self._accepted(min(shape, default=0) >= 0, f"output {output} {list(shape)}")
        return np.empty(shape, self._types[output])

    def _made(self, thing: Any, what: str) -> Any:
        if thing is None:
            raise FdcnError(f"TensorRT {what}: {self._log.why()}; build it again, or run with --backend onnxruntime")
        return thing

    def _accepted(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise FdcnError(f"TensorRT failed in the {self.name} with {what}: {self._log.why()}")


class Log:
    """The errors that a TensorRT logger was told: they say why a call has failed. `logger` goes to TensorRT."""

    def __init__(self, trt: Any) -> None:
        errors: list[str] = []

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity <= trt.ILogger.Severity.ERROR:
                    errors.append(" ".join(message.split()))

        self._errors, self.logger = errors, Logger()

    def why(self) -> str:
        """The first error since this was last asked: what follows it are its consequences."""
        text = self._errors[0][:300] if self._errors else "it gave no reason"
        self._errors.clear()
        return text
