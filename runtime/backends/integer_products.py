"""Whether ONNX Runtime's products of 8-bit integers are exact on this processor, found by computing one."""

import functools

import numpy as np
import onnxruntime as ort

# MatMulInteger (opset 10) of a, uint8, and b, int8, of any shapes: this package has no ONNX to write it with.
PRODUCT = (
    b'\x08\x08:>\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01g'
    b"Z\t\n\x01a\x12\x04\n\x02\x08\x02Z\t\n\x01b\x12\x04\n\x02\x08\x03b\t\n\x01y\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\n"
)


def session() -> ort.InferenceSession:
    """A session that multiplies: a, uint8 [M, K], and b, int8 [K, N] → int32 [M, N]."""
    return ort.InferenceSession(PRODUCT, providers=["CPUExecutionProvider"])


@functools.cache
def saturate() -> bool:
    """Whether sums of two products of uint8 and int8 end at 16 bits.

    They do on processors with AVX2 or AVX-512 that lack VNNI, whose instruction for them sums so; ONNX Runtime takes
    it all the same. Weights at ±127 beside activations beyond 129 then give wrong numbers.
    """
    a, b = np.full((2, 8), 255, np.uint8), np.full((8, 16), 127, np.int8)
    return not np.array_equal(session().run(None, {"a": a, "b": b})[0], np.full((2, 16), 8 * 255 * 127))
