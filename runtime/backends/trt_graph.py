"""One graph of a TensorRT engine on the device: its contexts, and a run of it with the host's arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.backends.device import Buffer, Device

Shape = tuple[int, ...]
Range = tuple[Shape, Shape, Shape]
"""Smallest, best and largest shape of an input in a profile."""
SCRATCH_AT_LEAST = 256


class TrtGraph:
    """An engine. Not for two threads at a time; `close` before its device is closed."""

    def __init__(self, name: str, file: Path, trt: Any, runtime: Any, log: "Log", device: Device) -> None:
        """Load a serialised engine that has been checked. Raises FdcnError where TensorRT refuses it."""
        self.name, self._file, self._trt, self._log, self._device = name, file, trt, log, device
        self._engine = self._made(
            runtime.deserialize_cuda_engine(file.read_bytes()), say("tensorrt.cannot_load", file=file)
        )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        self.types = {n: np.dtype(trt.nptype(self._engine.get_tensor_dtype(n))) for n in names}
        self.inputs, self.outputs = tuple(inputs), tuple(n for n in names if n not in inputs)
        self._scratch: Buffer | None = None
        self._context: Context | None = None
        self._buffers: dict[str, Buffer] = {}

    def shape(self, tensor: str) -> Shape:
        """A tensor's shape; dynamic axes are -1."""
        return tuple(self._engine.get_tensor_shape(tensor))

    def ranges(self, tensor: str) -> list[Range]:
        """An input's range in each profile."""
        every = (self._engine.get_tensor_profile_shape(tensor, i) for i in range(self._profiles))
        return [(tuple(low), tuple(best), tuple(high)) for low, best, high in every]

    def scratch_size(self) -> int:
        """Bytes of scratch memory that a context needs in any profile."""
        return max(int(self._engine.get_device_memory_size_for_profile_v2(i)) for i in range(self._profiles))

    def share(self, scratch: Buffer) -> None:
        """Take the contexts' scratch memory from here; it may serve other graphs too, of which one runs at a time."""
        self._scratch = scratch

    def context(self) -> "Context":
        """A new context, whose scratch memory is the shared one. Raises FdcnError where there is no room for it."""
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        made = self._engine.create_execution_context(strategy)
        context = self._made(made, say("tensorrt.cannot_make_room", file=self._file))
        if self._scratch is None:
            self._scratch = self._buffers["scratch"] = Buffer(self._device, f"activations of the {self.name}")
            self._scratch.reserve(max(SCRATCH_AT_LEAST, self.scratch_size()))
        context.set_device_memory(self._scratch.address, self._scratch.size)
        return Context(self.name, context, self._log)

    def run(self, feeds: Mapping[str, np.ndarray], profile: int = 0) -> dict[str, np.ndarray]:
        """Run once in a profile that holds the inputs' shapes; gives every output as a new array.

        Raises FdcnError, naming the tensor and its shape, where TensorRT refuses or memory does not suffice.
        """
        with self._device.current():
            return self._run(feeds, profile)

    def close(self) -> None:
        """Give up the context, then the engine, then the tensors' memory."""
        self._context = None
        self._engine = None
        for buffer in self._buffers.values():
            buffer.release()

    def reused(self) -> "Context":
        """The context of runs with the host's arrays."""
        if self._context is None:
            self._context = self.context()
        return self._context

    def prepare(
        self, context: "Context", feeds: Mapping[str, np.ndarray], profile: int
    ) -> tuple["Context", dict[str, np.ndarray]]:
        """Put the inputs on the device and bind a context to them; gives it, and an empty array for each output."""
        held = {name: np.ascontiguousarray(feeds[name], self.types[name]) for name in self.inputs}
        context.reshape(profile, {name: array.shape for name, array in held.items()}, self._device.stream)
        results = {name: np.empty(context.shape(name), self.types[name]) for name in self.outputs}
        for name, array in (held | results).items():
            context.bind(name, self._buffer(name).reserve(array.nbytes))
        for name, array in held.items():
            self._buffer(name).upload(array)
        self._device.synchronize(f"copying to the {self.name}")
        return context, results

    def _run(self, feeds: Mapping[str, np.ndarray], profile: int) -> dict[str, np.ndarray]:
        context, results = self.prepare(self.reused(), feeds, profile)
        context.enqueue(self._device.stream)
        for name, array in results.items():
            self._buffer(name).download(array)
        self._device.synchronize(f"running the {self.name} with {context}")
        return results

    def _buffer(self, tensor: str) -> Buffer:
        return self._buffers.setdefault(tensor, Buffer(self._device, f"tensor {tensor} of the {self.name}"))

    @property
    def _profiles(self) -> int:
        return int(self._engine.num_optimization_profiles)

    def _made(self, thing: Any, what: str) -> Any:
        if thing is None:
            raise FdcnError(say("tensorrt.refused", what=what, reason=self._log.why()))
        return thing


class Context:
    """What one run of a graph needs at a time: shapes and addresses. Not for two threads at a time."""

    def __init__(self, graph: str, context: Any, log: "Log") -> None:
        self._graph, self._context, self._log = graph, context, log
        self._profile = 0
        self._given: dict[str, Shape] = {}

    def __str__(self) -> str:
        return ", ".join(f"{name} {list(shape)}" for name, shape in self._given.items())

    def reshape(self, profile: int, shapes: Mapping[str, Shape], stream: int) -> None:
        """Set the profile and every input's shape. Raises FdcnError for one that the profile does not hold."""
        if profile != self._profile:
            self._accepted(self._context.set_optimization_profile_async(profile, stream), f"profile {profile}")
            self._profile = profile
        self._given = dict(shapes)
        for name, shape in shapes.items():
            self._accepted(self._context.set_input_shape(name, shape), f"input {name} {list(shape)}")

    def shape(self, output: str) -> Shape:
        """An output's shape as it follows from the inputs'."""
        shape = tuple(self._context.get_tensor_shape(output))
        self._accepted(min(shape, default=0) >= 0, f"output {output} {list(shape)}")
        return shape

    def bind(self, tensor: str, address: int) -> None:
        """Where a tensor lies on the device: at a multiple of 256."""
        self._accepted(self._context.set_tensor_address(tensor, address), f"the address of {tensor}")

    def enqueue(self, stream: int) -> None:
        """Give one run to a stream. Raises FdcnError with the tensors' shapes where TensorRT refuses."""
        self._accepted(self._context.execute_async_v3(stream), str(self))

    def tell(self, profiler: Any) -> None:
        """Give a profiler the time of every layer from now on."""
        self._context.profiler = profiler

    def _accepted(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise FdcnError(say("tensorrt.failed", graph=self._graph, what=what, reason=self._log.why()))


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
        text = self._errors[0][:300] if self._errors else say("tensorrt.no_reason")
        self._errors.clear()
        return text
