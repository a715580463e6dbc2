"""CUDA over host memory, and a TensorRT whose engines run in ONNX Runtime: what a test of the backend needs of a GPU.

Work given to a stream is done when somebody waits for it and no earlier, memory starts as NaN, and whatever the real
ones would take for an error, or crash on, fails here.
"""

import ctypes
import dataclasses
import enum
import functools
import itertools
import json
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

MEMORY = 1 << 30
"""Bytes on the device."""
ALIGNMENT = 256
Work = Callable[[], None]


@dataclasses.dataclass
class Stream:
    """Work that was given to a stream; while it is captured, by a thread, instead what is recorded."""

    work: list[Work] = dataclasses.field(default_factory=list)
    recorded: list[Work] | None = None
    thread: int = 0
    invalid: bool = False


@dataclasses.dataclass
class Marker:
    """One recording of an event."""

    stream: int
    time: float | None = None

    @property
    def happened(self) -> bool:
        return self.time is not None

    def happen(self) -> None:
        self.time = time.perf_counter()


class Current(threading.local):
    """The contexts of a thread, the current one last."""

    def __init__(self) -> None:
        self.contexts: list[str] = []


class Cuda(types.ModuleType):
    """`cuda.bindings.runtime`, as far as fdcn calls it. `log` has what was made, launched and given back, in order."""

    cudaStreamNonBlocking = 1
    cudaEventDefault, cudaEventDisableTiming = 0, 2
    cudaHostAllocDefault = 0
    cudaMemcpyKind = enum.IntEnum(
        "cudaMemcpyKind", {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2, "cudaMemcpyDeviceToDevice": 3}
    )
    cudaStreamCaptureMode = enum.IntEnum("cudaStreamCaptureMode", {"cudaStreamCaptureModeThreadLocal": 1})

    def __init__(self) -> None:
        super().__init__("runtime")
        self.blocks: dict[int, np.ndarray] = {}
        self.pinned: dict[int, np.ndarray] = {}
        self.streams: dict[int, Stream] = {}
        self.events: dict[int, Marker | None] = {}  # as they were last recorded
        self.clocks: set[int] = set()  # events that measure time
        self.graphs: dict[int, list[Work]] = {}
        self.log: list[str] = []
        self.memory = MEMORY
        self.refuse_capture = False
        self.current = Current()
        self._numbers = itertools.count(1000)
        self._lock = threading.RLock()

    def left(self) -> dict[str, int]:
        """How much of what was made was not given back."""
        kept = {"memory": self.blocks, "pinned": self.pinned, "streams": self.streams, "events": self.events}
        kept |= {"graphs": self.graphs}
        return {name: len(things) for name, things in kept.items() if things}

    def free(self) -> int:
        """Bytes on the device that nobody has taken."""
        return self.memory - sum(block.nbytes for block in list(self.blocks.values()))

    def give(self, stream: int, work: Work) -> None:
        """Give work to a stream."""
        with self._lock:
            here = self.streams[stream]
            if here.recorded is None:
                here.work.append(work)
            else:
                assert here.thread == threading.get_ident(), "another thread gives work to a stream that is captured"
                here.recorded.append(work)

    def capturing(self, stream: int) -> bool:
        return self.streams[stream].recorded is not None

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        return 0, {2: b"out of memory", 1: b"invalid argument", 900: b"operation not permitted when capturing"}[status]

    def cudaGetLastError(self) -> tuple[int]:
        return (0,)

    def cudaMemGetInfo(self) -> tuple[int, int, int]:
        assert self.current.contexts, "no device is current"
        return 0, self.free(), self.memory

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        stream = next(self._numbers)
        self.streams[stream] = Stream()
        self.log.append("stream")
        return 0, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        gone = self.streams.pop(stream)
        assert not gone.work, "work was pending"
        assert gone.recorded is None, "it was being captured"
        self.log.append("stream gone")
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        if self._forbidden():
            return (900,)
        self._run(stream, lambda: False)
        return (0,)

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[int, int]:
        event = next(self._numbers)
        self.events[event] = None
        if flags == self.cudaEventDefault:
            self.clocks.add(event)
        return 0, event

    def cudaEventDestroy(self, event: int) -> tuple[int]:
        del self.events[event]
        self.clocks.discard(event)
        return (0,)

    def cudaEventElapsedTime(self, first: int, second: int) -> tuple[int, float]:
        times = [self.events[event].time for event in (first, second)]  # type: ignore[union-attr]
        if not {first, second} <= self.clocks or None in times:
            return 400, 0.0
        return 0, 1e3 * (times[1] - times[0])  # type: ignore[operator]

    def cudaEventRecord(self, event: int, stream: int) -> tuple[int]:
        self.events[event] = marker = Marker(stream)
        self.give(stream, marker.happen)
        return (0,)

    def cudaEventSynchronize(self, event: int) -> tuple[int]:
        if self._forbidden():
            return (900,)
        self._await(self.events[event])
        return (0,)

    def cudaStreamWaitEvent(self, stream: int, event: int, flags: int) -> tuple[int]:
        self.give(stream, functools.partial(self._await, self.events[event]))
        return (0,)

    def _await(self, marker: "Marker | None") -> None:
        if marker is not None:
            self._run(marker.stream, lambda: marker.happened)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        assert self.current.contexts, "no device is current"
        if self._forbidden():
            return 900, 0
        if size > self.free():
            return 2, 0
        block = self._block(size)
        self.blocks[block.ctypes.data] = block
        self.log.append("memory")
        return 0, block.ctypes.data

    def cudaFree(self, address: int) -> tuple[int]:
        if self._forbidden():
            return (900,)
        for stream in self.streams:
            self._run(stream, lambda: False)
        del self.blocks[address]
        self.log.append("memory gone")
        return (0,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        block = self._block(size)
        self.pinned[block.ctypes.data] = block
        return 0, block.ctypes.data

    def cudaFreeHost(self, address: int) -> tuple[int]:
        del self.pinned[address]
        return (0,)

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        if kind in (1, 3):
            self.inside(to, size)
        if kind in (2, 3):
            self.inside(source, size)
        if self.capturing(stream):
            for host in [source] * (kind == 1) + [to] * (kind == 2):
                assert any(a <= host < a + b.nbytes for a, b in self.pinned.items()), "pageable memory in a capture"
        self.give(stream, lambda: ctypes.memmove(to, source, size))
        return (0,)

    def cudaMemsetAsync(self, to: int, value: int, size: int, stream: int) -> tuple[int]:
        self.inside(to, size)
        self.give(stream, lambda: ctypes.memset(to, value, size))
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        here = self.streams[stream]
        assert not here.work
        assert here.recorded is None
        here.recorded, here.thread = [], threading.get_ident()
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, int]:
        here = self.streams[stream]
        assert here.recorded is not None
        assert here.thread == threading.get_ident()
        graph, work = next(self._numbers), here.recorded
        here.recorded = None
        if self.refuse_capture:
            return 900, 0
        self.graphs[graph] = work
        return 0, graph

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[int, int]:
        made = next(self._numbers)
        self.graphs[made] = list(self.graphs[graph])
        self.log.append("graph")
        return 0, made

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[int]:
        for work in self.graphs[graph]:
            self.give(stream, work)
        self.log.append("launch")
        return (0,)

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        del self.graphs[graph]
        return (0,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def inside(self, address: int, size: int) -> None:
        """Assert that so many bytes at an address lie in one block."""
        assert any(start <= address and address + size <= start + block.nbytes for start, block in self.found()), (
            f"{size} bytes at {address:#x} were not allocated"
        )

    def array(self, address: int, shape: tuple[int, ...], kind: type) -> np.ndarray:
        """Memory of the device as an array."""
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        if not size:
            return np.empty(shape, kind)
        self.inside(address, size)
        return np.frombuffer((ctypes.c_uint8 * size).from_address(address), kind).reshape(shape)

    def found(self) -> list[tuple[int, np.ndarray]]:
        return list(self.blocks.items())

    def _forbidden(self) -> bool:
        """Whether this thread is capturing, which nothing may be that waits or allocates."""
        mine = [s for s in self.streams.values() if s.recorded is not None and s.thread == threading.get_ident()]
        return bool(mine)

    def _run(self, stream: int, enough: Callable[[], bool]) -> None:
        with self._lock:
            while stream in self.streams and self.streams[stream].work and not enough():
                self.streams[stream].work.pop(0)()

    @staticmethod
    def _block(size: int) -> np.ndarray:
        whole = np.full(size + ALIGNMENT, 0xFF, np.uint8)
        start = -whole.ctypes.data % ALIGNMENT
        return whole[start : start + size]


class Driver(types.ModuleType):
    """`cuda.bindings.driver`, as far as fdcn calls it. `kernels` does what a kernel by its name would."""

    CUresult = enum.IntEnum("CUresult", {"CUDA_SUCCESS": 0})

    def __init__(self, cuda: Cuda, kernels: Any) -> None:
        super().__init__("driver")
        self.cuda, self.kernels = cuda, kernels

    def cuInit(self, flags: int) -> tuple[int]:
        return (0,)

    def cuDeviceGet(self, ordinal: int) -> tuple[int, int]:
        return 0, ordinal

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[int, str]:
        return 0, f"context of {device}"

    def cuCtxPushCurrent(self, context: str) -> tuple[int]:
        self.cuda.current.contexts.append(context)
        return (0,)

    def cuCtxPopCurrent(self) -> tuple[int, str]:
        return 0, self.cuda.current.contexts.pop()

    def cuLaunchKernel(
        self,
        name: str,
        x: int,
        y: int,
        z: int,
        a: int,
        b: int,
        c: int,
        shared: int,
        stream: int,
        given: Any,
        extra: int,
    ) -> tuple[int]:
        assert self.cuda.current.contexts, "no device is current"
        values, kinds = given
        assert len(values) == len(kinds)
        self.kernels.launch(name, stream, *values, *[y] * (name == "fdcn_move_rows"))
        return (0,)


class TensorRT(types.ModuleType):
    """TensorRT's Python API, as far as fdcn calls it. An engine's file is JSON: the ONNX file, and its profiles."""

    TensorIOMode = enum.Enum("TensorIOMode", "INPUT OUTPUT")
    ExecutionContextAllocationStrategy = enum.Enum("ExecutionContextAllocationStrategy", "STATIC USER_MANAGED")

    def __init__(self, cuda: Cuda) -> None:
        super().__init__("tensorrt")
        self.cuda = cuda

    class IProfiler:
        pass

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

    def get_device_memory_size_for_profile_v2(self, profile: int) -> int:
        return 1000 * (profile + 1)

    def create_execution_context(self, strategy: enum.Enum) -> "IExecutionContext":
        assert strategy is TensorRT.ExecutionContextAllocationStrategy.USER_MANAGED  # type: ignore[attr-defined]
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self.engine, self.runtime, self.cuda = engine, engine.runtime, engine.runtime.cuda
        self.profile, self.pending = 0, 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.run_with: tuple[object, ...] = ()
        self.scratch = False
        self.profiler: Any = None
        self.cuda.log.append("context")

    def __del__(self) -> None:
        assert not self.pending, "the context was in use"
        self.cuda.log.append("context gone")

    def set_device_memory(self, address: int, size: int) -> None:
        needed = self.engine.num_optimization_profiles
        assert size >= self.engine.get_device_memory_size_for_profile_v2(needed - 1)
        assert not address % ALIGNMENT
        self.cuda.inside(address, size)
        self.scratch = True

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        assert not self.pending, "the context was in use"
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
        assert not address % ALIGNMENT
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        engine, addresses = self.engine, dict(self.addresses)
        assert self.scratch, "the context has no memory"
        now = self.profile, dict(self.shapes), addresses
        if self.cuda.capturing(stream) and self.run_with != now:
            self.runtime.error("a context is captured after a run with the same shapes and addresses alone")
            return False
        self.run_with = now
        types_ = {name: TensorRT.nptype(engine.get_tensor_dtype(name)) for name in addresses}
        shapes = self.shapes | {name: self.get_tensor_shape(name) for name in engine.outputs}
        tensors = {name: self.cuda.array(addresses[name], shapes[name], types_[name]) for name in shapes}
        self.cuda.log.append(f"run {sorted(engine.outputs)[-1]}")
        self.pending += not self.cuda.capturing(stream)
        recorded = self.cuda.capturing(stream)

        def run() -> None:
            inputs = {name: tensors[name] for name in engine.inputs}
            for name, result in zip(engine.outputs, engine.session.run(list(engine.outputs), inputs), strict=True):
                tensors[name][...] = result
            self.pending -= not recorded
            if self.profiler is not None:
                for name in engine.outputs:
                    self.profiler.report_layer_time(f"what makes {name}", 1.5)

        self.cuda.give(stream, run)
        return True


@functools.cache
def session(onnx: str) -> ort.InferenceSession:
    return ort.InferenceSession(onnx, providers=["CPUExecutionProvider"])


def plan(onnx: Path, profiles: list[dict[str, list[list[int]]]]) -> bytes:
    """The content of an engine's file."""
    return json.dumps({"onnx": str(onnx), "profiles": profiles}).encode()
