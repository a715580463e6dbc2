"""What a pass of the denoiser computes and moves, in closed form: a machine that runs engines has no ONNX to count in.

Counted are the multiply-adds of its matrix products, which is what a GEMM's rate can be compared with, and the bytes
that must cross the memory whatever the kernels do: each weight once, and what goes in and comes out. Not counted are
the operator's sums (1% of the products' in FlowDCN-S/2 at 256 px), norms and element-wise work, and what layers write
for one another.
"""

import dataclasses
import math

from fdcn.bundle import Model
from fdcn.sizes import latent_size

FFN_MULTIPLE = 8
"""FFN widths in graphs are multiples of it."""
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "fp8": 1}
EDGE = 4
"""Bytes of an element that goes in or comes out, and of what is not a product's weight: always float32."""


@dataclasses.dataclass(frozen=True)
class Work:
    """Of one pass."""

    flop: int
    """Twice the multiply-adds of matrix products."""
    bytes: int
    """Weights, inputs and outputs, once each."""


def denoiser(model: Model, precision: str, size: tuple[int, int], factor: int, rows: int) -> Work | None:
    """One pass of a bundle's denoiser over so many rows, at a picture's (width, height).

    `factor` is the bundle's pixels a latent element. None for a family whose products this does not know.
    """
    if model.family != "flowdcn":
        return None
    a, p = model.architecture, model.patch
    h, taps, edge = a["hidden"], 4 * a["groups"] * a["taps"], p * p * model.channels
    ffn = -(-a["ffn"] // FFN_MULTIPLE) * FFN_MULTIPLE
    block = h * (h + taps) + h * h + 3 * h * ffn
    weights = 2 * edge * h + model.blocks * block
    others = h + edge + model.blocks * ((h + taps) + h + 2 * h)  # biases, and the norms' weights
    area = math.prod(latent_size(size, p, factor))
    tokens = rows * area // p**2
    conditioning = model.blocks * (6 * h + 2) + 2 * h
    edges = rows * (2 * model.channels * area + conditioning)
    return Work(2 * tokens * weights, BYTES[precision] * weights + EDGE * (others + edges))
