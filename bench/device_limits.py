"""What a GPU does at its best, measured here and now: a large matrix product by TensorRT, and a copy of its memory."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fdcn.bench.report import Limit
from fdcn.bundle import QUANTISED
from fdcn.errors import FdcnError
from fdcn.plugins import flavours
from fdcn.plugins.flavours import Flavour
from fdcn.runtime.backends.device import Device
from fdcn.runtime.backends.trt_graph import Log

SIDE = 8192
COPY_BYTES = 1 << 30
WARMUP, REPEATS = 3, 20
_TYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16", "int8": "INT8", "fp8": "FP8"}


def measure(flavour: str, precision: str) -> Limit:
    """The limit of the first GPU in a precision. Raises FdcnError where TensorRT cannot build or run the product."""
    loaded = flavours.load(flavour)
    plan = product(loaded, precision, SIDE)
    device = Device()
    try:
        with device.current():
            seconds, copying = _product_seconds(device, loaded, plan, precision), _copy_seconds(device)
    finally:
        device.close()
    how = f"{SIDE}³ by {loaded}; a copy of {COPY_BYTES >> 20} MiB on the device"
    return Limit("gpu", precision, 2 * SIDE**3 / seconds, 2 * COPY_BYTES / copying, how)


def free_memory() -> int:
    """Bytes of the first GPU's memory that nobody has taken; CUDA's own part in this process has been."""
    device = Device()
    try:
        return device.free_memory()
    finally:
        device.close()


def product(flavour: Flavour, precision: str, side: int, compute: tuple[str, ...] = ()) -> bytes:
    """A serialised engine of one square product, a @ b, for this machine's GPU or for named architectures.

    Of quantised factors the product is float16, as in a quantised network.
    """
    trt = flavour.module
    log = Log(trt)
    builder = trt.Builder(log.logger) if compute else flavours.builder(flavour, log.logger)
    network = builder.create_network(flavours.network_flags(flavour))
    a, b = (network.add_input(name, getattr(trt.DataType, _TYPES[precision]), (side, side)) for name in "ab")
    if precision in QUANTISED:
        scales = np.ones(1, np.float16)  # constants of a network are read when it is built
        scale = network.add_constant((), trt.Weights(scales)).get_output(0)
        a, b = (network.add_dequantize(factor, scale, trt.DataType.HALF).get_output(0) for factor in (a, b))
    none = trt.MatrixOperation.NONE
    output = network.add_matrix_multiply(a, none, b, none).get_output(0)
    output.name = "out"
    network.mark_output(output)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # as in engines of float32
    if compute:
        flavours.set_compute(flavour, config, compute)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise FdcnError(f"{flavour} builds no product of {side}³ in {precision}: {log.why()}")
    return bytes(plan)


def _product_seconds(device: Device, flavour: Flavour, plan: bytes, precision: str) -> float:
    trt, operand = flavour.module, _operand(precision)
    log = Log(trt)
    runtime = trt.Runtime(log.logger)  # outlives its engine
    engine = runtime.deserialize_cuda_engine(plan)
    context = engine.create_execution_context() if engine else None
    if context is None:
        raise FdcnError(f"{flavour} does not run its own product of {SIDE}³ in {precision}: {log.why()}")
    product_bytes = operand.nbytes * (2 if precision in QUANTISED else 1)
    with _memory(device, f"a product of {SIDE}³", [operand.nbytes] * 2 + [product_bytes]) as addresses:
        for name, address in zip(("a", "b", "out"), addresses, strict=True):
            context.set_tensor_address(name, address)
        for address in addresses[:2]:
            device.copy("a factor", address, operand.ctypes.data, operand.nbytes, "HostToDevice")
        return _best(device, functools.partial(context.execute_async_v3, device.stream))


def _copy_seconds(device: Device) -> float:
    with _memory(device, "a copy", [COPY_BYTES] * 2) as (source, target):
        return _best(device, lambda: device.copy("memory", target, source, COPY_BYTES, "DeviceToDevice"))


@contextlib.contextmanager
def _memory(device: Device, what: str, sizes: Sequence[int]) -> Iterator[list[int]]:
    """Addresses of memory on the device, given back when what was done with it is finished."""
    with contextlib.ExitStack() as closing:
        addresses = []
        for size in sizes:
            addresses.append(device.allocate(what, size))
            closing.callback(device.free, addresses[-1])
        closing.callback(device.synchronize, what)
        yield addresses


def _best(device: Device, work: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls, by events on the stream."""
    taken = []
    start, end = (int(device.call("creating an event", "cudaEventCreate")) for _ in range(2))
    for _ in range(WARMUP + REPEATS):
        device.record(start, device.stream)
        work()
        device.record(end, device.stream)
        device.wait(end, "measuring the GPU's limits")
        taken.append(1e-3 * float(device.call("reading an event", "cudaEventElapsedTime", start, end)))
    for event in (start, end):
        device.free_event(event)
    return min(taken[WARMUP:])


def _operand(precision: str) -> np.ndarray:
    """Normal numbers: zeros would draw less power, and the clock would rise."""
    normal = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    if precision == "bfloat16":
        return (normal.view(np.uint32) >> 16).astype(np.uint16)
    if precision == "fp8":
        return _e4m3(normal)
    if precision == "int8":
        return (40 * normal).clip(-127, 127).astype(np.int8)
    return normal.astype(precision)


def _e4m3(values: np.ndarray) -> np.ndarray:
    """The bytes of float32 numbers below 448 in E4M3: cut off after three bits of mantissa, and zero below 2⁻⁶."""
    bits = values.view(np.uint32)
    magnitude = (bits >> 20 & 0x7FF).astype(np.int32) - (127 - 7 << 3)  # an exponent and three bits, its bias changed
    return (bits >> 24 & 0x80 | np.where(magnitude < 8, 0, magnitude)).astype(np.uint8)
