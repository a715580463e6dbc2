"""CUDA over host memory, and a TensorRT whose engines run in ONNX Runtime: what a test of the backend needs of a GPU.

Work given to a stream is done when the stream is synchronized and no earlier, memory starts as NaN, and whatever the
real ones would take for an error, or crash on, fails here.
"""

import ctypes
import enum
import functools
import json
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

MEMORY = 1 << 30
"""Bytes on the device."""


class Cuda(types.ModuleType):
    """`cuda.bindings.runtime`, as far as fdcn calls it. `log` has what was made and given back, in order."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = enum.IntEnum("cudaMemcpyKind", {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2})

    def __init__(self) -> None:
        super().__init__("runtime")
        self.blocks: dict[int, np.ndarray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.log: list[str] = []
        self.memory = MEMORY

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        return 0, {2: b"out of memory", 1: b"invalid argument"}[status]

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        stream = 1000 + len(self.log)
        self.streams[stream] = []
        self.log.append("stream")
        return 0, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        assert not self.streams.pop(stream), "work was pending"
        self.log.append("stream gone")
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        waiting, self.streams[stream] = self.streams[stream], []
        for work in waiting:
            work()
        return (0,)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        if size + sum(block.nbytes for block in self.blocks.values()) > self.memory:
            return 2, 0
        block = np.full(size, 0xFF, np.uint8)
        self.blocks[block.ctypes.data] = block
        self.log.append("memory")
        return 0, block.ctypes.data

    def cudaFree(self, address: int) -> tuple[int]:
        assert not any(self.streams.values()), "work was pending"
        del self.blocks[address]
        self.log.append("memory gone")
        return (0,)

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        self.inside(to if kind == 1 else source, size)
        self.streams[stream].append(lambda: ctypes.memmove(to, source, size))
        return (0,)

    def inside(self, address: int, size: int) -> None:
        """Assert that an address is one of a block of so many bytes."""
        assert address in self.blocks, f"{address:#x} was not allocated"
        assert size <= self.blocks[address].nbytes, f"{size} bytes in a block of {self.blocks[address].nbytes}"


class TensorRT(types.ModuleType):
    """TensorRT's Python API, as far as fdcn calls it. An engine's file is JSON: the ONNX file, and its profiles."""

    TensorIOMode = enum.Enum("TensorIOMode", "INPUT OUTPUT")

    def __init__(self, cuda: Cuda) -> None:
        super().__init__("tensorrt")
        self.cuda = cuda

    class ILogger:
        Severity = enum.IntEnum("Severity", "INTERNAL_ERROR ERROR WARNING")

    @staticmethod
    def nptype(kind: str) -> type:
        return {"tensor(float)": np.float32, "tensor(int64)": np.int64}[kind]

    def Runtime(self, logger: object) -> "Runtime":
        return Runtime(self.cuda, logger)


class Runtime:
    def __init__(self, cuda: Cuda, logger: object) -> None:
        self.cuda, self.logger = cuda, logger

    def deserialize_cuda_engine(self, plan: bytes) -> "ICudaEngine | None":
        try:
            return ICudaEngine(self, **json.loads(plan))
        except ValueError:
            self.error("Serialization assertion\n  stdVersionRead == kSERIALIZATION_VERSION failed.")
            return None

    def error(self, text: str) -> None:
        severity = TensorRT.ILogger.Severity
        self.logger.log(severity.ERROR, text)  # type: ignore[attr-defined]
        self.logger.log(severity.WARNING, "only a warning")  # type: ignore[attr-defined]


class ICudaEngine:
    def __init__(self, runtime: Runtime, onnx: str, profiles: list[dict[str, list[list[int]]]]) -> None:
        self.runtime, self.profiles = runtime, profiles
        self.session = session(onnx)
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = {value.name: value for value in self.session.get_outputs()}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.num_optimization_profiles = len(profiles)
        self.runtime.cuda.log.append("engine")

    def __del__(self) -> None:
        self.runtime.cuda.log.append("engine gone")

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> TensorRT.TensorIOMode:
        return TensorRT.TensorIOMode.INPUT if name in self.inputs else TensorRT.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return (self.inputs | self.outputs)[name].type

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(dim if isinstance(dim, int) else -1 for dim in (self.inputs | self.outputs)[name].shape)

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[list[int]]:
        return self.profiles[profile][name]

    def create_execution_context(self) -> "IExecutionContext":
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self.engine, self.runtime, self.cuda = engine, engine.runtime, engine.runtime.cuda
        self.profile = 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.cuda.log.append("context")

    def __del__(self) -> None:
        self.cuda.log.append("context gone")

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        assert not self.cuda.streams[stream], "the context was in use"
        self.profile, self.shapes = index, {}
        return index < self.engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.profiles[self.profile][name]
        self.shapes[name] = shape
        if len(low) == len(shape) and all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            return True
        self.runtime.error(f"Static dimension mismatch while setting input shape for {name}.")
        return False

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        known = {"rows": 1}
        for given, shape in self.shapes.items():
            for dim, size in zip(self.engine.inputs[given].shape, shape, strict=True):
                if dim in ("steps", "labels"):
                    known["rows"] *= size
                known[dim] = size
        return tuple(known.get(dim, dim if isinstance(dim, int) else -1) for dim in self.engine.outputs[name].shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        engine, addresses = self.engine, dict(self.addresses)
        types_ = {name: TensorRT.nptype(engine.get_tensor_dtype(name)) for name in addresses}
        inputs = {name: self._array(addresses[name], self.shapes[name], types_[name]) for name in engine.inputs}
        shapes = {name: self.get_tensor_shape(name) for name in engine.outputs}
        outputs = {name: self._array(addresses[name], shapes[name], types_[name]) for name in engine.outputs}

        def run() -> None:
            for name, result in zip(outputs, engine.session.run(list(outputs), inputs), strict=True):
                outputs[name][...] = result

        self.cuda.streams[stream].append(run)
        return True

    def _array(self, address: int, shape: tuple[int, ...], kind: type) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        self.cuda.inside(address, size)
        return self.cuda.blocks[address][:size].view(kind).reshape(shape)


@functools.cache
def session(onnx: str) -> ort.InferenceSession:
    return ort.InferenceSession(onnx, providers=["CPUExecutionProvider"])


def plan(onnx: Path, profiles: list[dict[str, list[list[int]]]]) -> bytes:
    """The content of an engine's file."""
    return json.dumps({"onnx": str(onnx), "profiles": profiles}).encode()
