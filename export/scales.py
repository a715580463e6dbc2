"""How numbers are quantised: the scale of a range, and the codes of values. Symmetric, so that zero is zero."""

import ml_dtypes
import numpy as np

from fdcn.export.recipe import LARGEST

STORED = {"int8": np.dtype(np.int8), "fp8": np.dtype(ml_dtypes.float8_e4m3fn)}
"""What a code is stored as."""


def scale(largest: np.ndarray | float, precision: str) -> np.ndarray:
    """The float32 scale at which `largest`, a magnitude or an array of them, is the largest that is represented.

    It is rounded up to a number that float16 has, subnormal ones included: an engine holds its scales in float16, and
    is to have the very codes that a processor has in float32. Above float16's largest it stays what it is. A
    magnitude of 0, which needs no scale, has 1.
    """
    wanted = np.asarray(largest, np.float64) / LARGEST[precision]
    with np.errstate(over="ignore"):
        half = wanted.astype(np.float16)
    half = np.where(half < wanted, np.nextafter(half, np.float16(np.inf)), half)
    result = np.where(np.isfinite(half), half.astype(np.float32), wanted.astype(np.float32))
    return np.where(wanted == 0, np.float32(1), result)


def codes(values: np.ndarray, scales: np.ndarray, precision: str) -> np.ndarray:
    """`values` ÷ `scales`, to the nearest code, ties to even, saturating: as QuantizeLinear does it.

    Both are float32 and broadcast; the result is of the type `STORED`.
    """
    stored, top = STORED[precision], LARGEST[precision]
    ratio = np.asarray(np.asarray(values, np.float32) / np.asarray(scales, np.float32))
    if precision == "int8":
        np.rint(ratio, out=ratio)
    low = np.iinfo(stored).min if precision == "int8" else -top
    return np.clip(ratio, low, top, out=ratio).astype(stored)


def rounded(values: np.ndarray, scales: np.ndarray, precision: str) -> np.ndarray:
    """`values` as they are after quantising and dequantising, float32."""
    return codes(values, scales, precision).astype(np.float32) * np.asarray(scales, np.float32)
