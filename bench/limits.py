"""What a processor does at its best, measured here and now: a large matrix product, and a copy of memory."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fdcn.bench.report import Limit
from fdcn.bench.timing import stopwatch
from fdcn.runtime import memory

SIDES = (512, 1024, 2048)
"""Of the products; the best one counts."""
REPEATS = 5
COPY_BYTES = 256 << 20
"""At most, so that no cache holds it; and an eighth of what is free."""
CALM = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def processor(precision: str = "float32", sides: tuple[int, ...] = SIDES, copied: int = COPY_BYTES) -> Limit:
    """The limit of this machine's processor: of products in float32 or INT8, and of copying with a thread a core."""
    integers = precision == "int8"
    product, by = (best_integers, "MatMulInteger") if integers else (best_product, "sgemm")
    rates = {side: 2 * side**3 / product(side) for side in sides}
    fastest = max(rates, key=rates.__getitem__)
    free = memory.available_bytes()
    copied = min(copied, free // 8) if free else copied
    library = "ONNX Runtime" if integers else "NumPy"
    best = f"{by} of {fastest}³ by {library}, the best of {', '.join(map(str, sides))}"
    limit = 2 * copied / best_copy(copied)
    return Limit("cpu", precision, rates[fastest], limit, f"{best}; a copy of {copied >> 20} MiB")


def notes() -> list[str]:
    """What makes the processor's limit too low."""
    limited = [name for name in CALM if os.environ.get(name)]
    return [f"{limited[0]} limits NumPy's threads: the processor's measured limit may be too low"] if limited else []


def best_product(side: int) -> float:
    """Seconds of the fastest of some square products in float32."""
    a, b = np.random.default_rng(0).standard_normal((2, side, side), np.float32)
    out = np.empty_like(a)
    return min(stopwatch(lambda: np.matmul(a, b, out)) for _ in range(1 + REPEATS))


def best_integers(side: int) -> float:
    """Seconds of the fastest of some square products of uint8 and int8 in int32."""
    from fdcn.runtime.backends.integer_products import session

    rng, opened = np.random.default_rng(0), session()
    a = rng.integers(0, 255, (side, side), np.uint8, endpoint=True)
    b = rng.integers(-127, 127, (side, side), np.int8, endpoint=True)
    return min(stopwatch(lambda: opened.run(None, {"a": a, "b": b})) for _ in range(1 + REPEATS))


def best_copy(size: int) -> float:
    """Seconds of the fastest of some copies of so many bytes, by a thread a core."""
    threads = os.cpu_count() or 1
    source, target = (np.array_split(np.full(size, value, np.uint8), threads) for value in (1, 0))
    with ThreadPoolExecutor(threads) as pool:
        return min(stopwatch(lambda: list(pool.map(np.copyto, target, source))) for _ in range(1 + REPEATS))
