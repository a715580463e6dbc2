"""MultiScaleDCN in standard ONNX operators: the body that lets plain ONNX Runtime run an exported file.

The values get a halo of zeros: two cells before and one after each axis. Every corner of a tap that counts is then
a cell, and a tap that does not count is sent to (-2, -2), whose four corners are zeros, with its weight replaced by
zero; nothing is ever multiplied with a mask. The halo is why a corner outside contributes 0 whatever the grid holds.

One row is what one group has at one token: 4·K corners. Rows are gathered and reduced a chunk at a time, so what
was gathered is still in the cache when it is summed, and memory does not grow with the taps. TensorRT has none of the
operators that this takes (Scan over a size known only at run time, Compress): its body gathers all rows at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fdcn.plugins import spec

OPSET = 20
CHUNK_BYTES = 2 << 20
"""Upper bound of the corner values gathered at a time: what the level-2 caches of two cores hold."""

_HALO_BEFORE, _HALO_AFTER = -spec.LOWER_BOUND, 1
_HALO = _HALO_BEFORE + _HALO_AFTER
_END = [np.iinfo(np.int64).max]

_Input = str | np.generic | Sequence[int]
"""A value's name, a number (a scalar constant of its dtype) or integers (a constant int64 vector)."""


def function(groups: int, taps: int, chunked: bool = True) -> onnx.FunctionProto:
    """The operator of `spec` for one layout: N, H, W, C and T are free, N, H and W at least 1.

    The node's attributes are accepted; `groups` and `taps` must be the numbers given here. Rows are counted in int32:
    N·(H + 3)·(W + 3)·G must stay below 2³¹. Not `chunked`, it takes 4·K times the memory of the values, and no
    operator that TensorRT lacks.
    """
    b = _Builder()
    projection = b.Cast("projection", to=onnx.TensorProto.FLOAT)
    size = _Size(b, groups, taps)
    inside, position, weight = _taps(b, size, projection)
    rows, weights = _corners(b, size, inside, position, weight)
    weighted_sum = _weighted_sum if chunked else _weighted_sum_at_once
    summed = weighted_sum(b, size, _cells(b, size, projection), rows, weights)
    b.CastLike(b.reshape(summed, size.N, size.H, size.W, size.values), "projection", output=spec.OUTPUT)
    return helper.make_function(
        spec.DOMAIN,
        spec.NAME,
        list(spec.INPUTS),
        [spec.OUTPUT],
        b.nodes,
        [helper.make_opsetid("", OPSET)],
        attributes=["groups", "taps"],
        attribute_protos=[helper.make_attribute(name, value) for name, value in spec.PLUGIN_ATTRIBUTES.items()],
    )


class _Builder:
    """Nodes in the making: b.Mul(x, y) appends one and returns the name of its output."""

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = prefix

    def __getattr__(self, op: str) -> Callable[..., str]:
        return lambda *inputs, **attributes: self._add(op, inputs, **attributes)

    def reshape(self, value: str, *sizes: str | Sequence[int]) -> str:
        """A value in the shape that the sizes, each a name or numbers, make one after the other."""
        return self.Reshape(value, self.Concat(*sizes, axis=0))

    def split(self, value: str, sizes: Sequence[int]) -> list[str]:
        """Parts of a value along its first axis."""
        names = [f"{self._prefix}{len(self.nodes)}_Split_{i}" for i in range(len(sizes))]
        # The constant comes first: a node's inputs must be there before it.
        inputs = [value, self._name(sizes)]
        self.nodes.append(helper.make_node("Split", inputs, names, axis=0))
        return names

    def _add(self, op: str, inputs: Sequence[_Input], output: str | None = None, **attributes: Any) -> str:
        names = [self._name(value) for value in inputs]
        output = output or f"{self._prefix}{len(self.nodes)}_{op}"
        self.nodes.append(helper.make_node(op, names, [output], **attributes))
        return output

    def _name(self, value: _Input) -> str:
        if isinstance(value, str):
            return value
        array = np.asarray(value) if isinstance(value, np.generic) else np.asarray(value, np.int64)
        return self._add("Constant", (), value=numpy_helper.from_array(array))


class _Size:
    """Names of the sizes that are known only when the graph runs: int64, shape [1], G and K the layout's numbers."""

    def __init__(self, b: _Builder, groups: int, taps: int) -> None:
        self.G, self.K, self.GK = groups, taps, groups * taps
        self.N, self.H, self.W, width = (b.Shape("projection", start=i, end=i + 1) for i in range(4))
        self.values = b.Sub(width, [self.GK * len(spec.TAP_FIELDS)])
        self.C = b.Div(self.values, [groups])
        self.tokens = b.Mul(self.H, self.W)
        self.pitch = b.Add(self.W, [_HALO])
        self.cells = b.Mul(b.Add(self.H, [_HALO]), self.pitch)


def _taps(b: _Builder, size: _Size, projection: str) -> tuple[str, str, str]:
    """Which coordinates count [2, N, HW, GK] bool, the positions [2, N, HW, GK] and weights [1, N, HW, GK] float32.

    One transposition makes a plane of each of a tap's numbers, so that all arithmetic runs over adjacent memory.
    """
    fields = len(spec.TAP_FIELDS)
    packed = b.Slice(projection, [-size.GK * fields], _END, [-1])
    packed = b.reshape(packed, size.N, size.tokens, [size.GK, fields])
    direction, scale, weight = b.split(b.Transpose(packed, perm=[3, 0, 1, 2]), [2, 1, 1])

    prior = b.Tile(b.Transpose("prior", perm=[1, 0]), [1, size.G])
    reach = b.reshape(b.Transpose("s_max", perm=[1, 0]), [2], size.N, [1, 1])
    moved = b.Add(direction, b.Reshape(prior, [2, 1, 1, size.GK]))
    offset = b.Mul(moved, b.Mul(b.Sigmoid(scale), reach))

    token = b.Range(np.int64(0), b.Squeeze(size.tokens), np.int64(1))
    grid = b.Concat(b.Mod(token, size.W), b.Div(token, size.W), axis=0)
    grid = b.Cast(b.reshape(grid, [2, 1], size.tokens, [1]), to=onnx.TensorProto.FLOAT)
    position = b.Add(grid, offset)
    bound = b.Cast(b.Concat(size.W, size.H, axis=0), to=onnx.TensorProto.FLOAT)
    # Two comparisons that NaN fails, before anything becomes an integer.
    above = b.Greater(position, np.float32(spec.LOWER_BOUND))
    inside = b.And(above, b.Less(position, b.Reshape(bound, [2, 1, 1, 1])))
    return inside, position, weight


def _corners(b: _Builder, size: _Size, inside: str, position: str, weight: str) -> tuple[list[str], list[str]]:
    """Row of the cells and weight of the four corners, each [1, N, HW, GK], int32 and float32."""
    position = b.Where(inside, position, np.float32(spec.LOWER_BOUND))
    inside_x, inside_y = b.split(inside, [1, 1])
    weight = b.Where(b.And(inside_x, inside_y), weight, np.float32(0))
    corner = b.Cast(position, to=onnx.TensorProto.INT32)
    after = b.Sub(position, b.Cast(corner, to=onnx.TensorProto.FLOAT))
    after_x, after_y = b.split(after, [1, 1])
    before_x, before_y = b.split(b.Sub(np.float32(1), after), [1, 1])
    top, bottom = b.Mul(weight, before_y), b.Mul(weight, after_y)
    weights = [b.Mul(top, before_x), b.Mul(top, after_x), b.Mul(bottom, before_x), b.Mul(bottom, after_x)]

    # Row of (n, y, x, g): ((n · cells + (y + halo) · pitch + (x + halo)) · G + g.
    image = b.Mul(b.Range(np.int64(0), b.Squeeze(size.N), np.int64(1)), size.cells)
    halo = b.Mul(b.Add(size.pitch, [1]), [_HALO_BEFORE])
    first = b.reshape(b.Mul(b.Add(image, halo), [size.G]), size.N, [1, 1])
    first = b.Add(first, np.repeat(np.arange(size.G), size.K).tolist())
    line = b.Cast(b.Mul(size.pitch, [size.G]), to=onnx.TensorProto.INT32)
    cell = np.int32(size.G)
    x, y = b.split(corner, [1, 1])
    row = b.Add(b.Add(b.Mul(y, line), b.Mul(x, cell)), b.Cast(first, to=onnx.TensorProto.INT32))
    return [row, b.Add(row, cell), b.Add(row, line), b.Add(row, b.Add(line, cell))], weights


def _cells(b: _Builder, size: _Size, projection: str) -> str:
    """The values with their halo, a group a row: [N·(H + 3)·(W + 3)·G, C]. A negative pad cuts the taps off."""
    before, after = [0, _HALO_BEFORE, _HALO_BEFORE, 0], [0, _HALO_AFTER, _HALO_AFTER]
    padded = b.Pad(projection, [*before, *after, -size.GK * len(spec.TAP_FIELDS)])
    return b.reshape(padded, b.Mul(b.Mul(size.N, size.cells), [size.G]), size.C)


def _weighted_sum(b: _Builder, size: _Size, cells: str, rows: list[str], weights: list[str]) -> str:
    """Σ over the corners of weight · value: [chunks, rows of a chunk, 1, C]."""
    corners = len(rows) * size.K
    count = b.Mul(b.Mul(size.N, size.tokens), [size.G])
    chunk = _chunk(b, count, b.Div([CHUNK_BYTES // (corners * 4)], size.C))
    chunks = b.Div(count, chunk)
    inner = _Builder("chunk_")
    summed = inner.MatMul("chunk_weights", inner.Gather(cells, "chunk_rows"))
    body = helper.make_graph(
        inner.nodes,
        "weighted_sum",
        [
            helper.make_tensor_value_info("chunk_rows", onnx.TensorProto.INT32, [None, corners]),
            helper.make_tensor_value_info("chunk_weights", onnx.TensorProto.FLOAT, [None, 1, corners]),
        ],
        [helper.make_tensor_value_info(summed, onnx.TensorProto.FLOAT, [None, 1, None])],
    )
    return b.Scan(
        b.Concat(*[b.reshape(row, chunks, chunk, [size.K]) for row in rows], axis=-1),
        b.Concat(*[b.reshape(weight, chunks, chunk, [1, size.K]) for weight in weights], axis=-1),
        body=body,
        num_scan_inputs=2,
    )


def _weighted_sum_at_once(b: _Builder, size: _Size, cells: str, rows: list[str], weights: list[str]) -> str:
    """Σ over the corners of weight · value: [N·HW·G, 1, C]."""
    corners = len(rows) * size.K
    row = b.Concat(*[b.Reshape(row, [-1, size.K]) for row in rows], axis=-1)
    weight = b.Concat(*[b.Reshape(weight, [-1, size.K]) for weight in weights], axis=-1)
    return b.MatMul(b.Reshape(weight, [-1, 1, corners]), b.Gather(cells, row))


def _chunk(b: _Builder, count: str, limit: str) -> str:
    """The largest divisor of `count` up to `limit`, and at least 1: int64 [1]."""
    candidates = b.Range(np.int64(1), b.Add(b.Squeeze(b.Max(limit, [1])), np.int64(1)), np.int64(1))
    divides = b.Equal(b.Mod(count, candidates), [0])
    return b.ReduceMax(b.Compress(candidates, divides, axis=0))
