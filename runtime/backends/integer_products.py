"""Whether ONNX Runtime's products of 8-bit integers are exact on this processor, found by computing one."""

import functools

import numpy as np
import onnxruntime as ort

from fdcn.runtime.tables import INTEGER_PRODUCT


def session() -> ort.InferenceSession:
    """A session that multiplies: a, uint8 [M, K], and b, int8 [K, N] → int32 [M, N]."""
    return ort.InferenceSession(INTEGER_PRODUCT, providers=["CPUExecutionProvider"])


@functools.cache
def saturate() -> bool:
    """Whether sums of two products of uint8 and int8 end at 16 bits.

    They do on processors with AVX2 or AVX-512 that lack VNNI, whose instruction for them sums so; ONNX Runtime takes
    it all the same. Weights at ±127 beside activations beyond 129 then give wrong numbers.
    """
    a, b = np.full((2, 8), 255, np.uint8), np.full((8, 16), 127, np.int8)
    return not np.array_equal(session().run(None, {"a": a, "b": b})[0], np.full((2, 16), 8 * 255 * 127))
