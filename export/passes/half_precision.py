"""float16 or bfloat16 where it pays and float32 where it matters, written into the graph itself.

TensorRT 11 chooses no precisions: a strongly typed graph is the one way that works in every version.

Matrix products, convolutions and the operator's projection become half. What stands between them follows where all
that it reads is half: layouts, activation functions, the addition of a bias. Everything else is an island of float32:
a sum of two activations, which is a residual stream; norms; modulation; features of the time; the operator's prior
and s_max, which its schema wants so; and the graph's edges. Patch and time embeddings are products like any other:
in float32 they left float16's median error as it was, and took a fifth off bfloat16's, which is small either way.
"""

import dataclasses
from collections.abc import Mapping

import ml_dtypes
import onnx_ir as ir

from fdcn.errors import FdcnError
from fdcn.export.passes.type_rules import check_types, rules
from fdcn.plugins import spec

_OPERATOR = (spec.DOMAIN, spec.NAME)
_PRODUCTS = {("", "MatMul"), ("", "Gemm"), ("", "Conv"), _OPERATOR}
_LAYOUTS = {"Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
_FOLLOWERS = {*_LAYOUTS, "Add", "Gelu", "Mul", "QuantizeLinear", "Relu", "Sigmoid"}
_UNTYPED = {"Cast", "Shape", "Size"}
"""Operators that read any type and make another."""
_MENDS = {
    ir.DataType.FLOAT16: "build with --bf16, which has the range of float32",
    ir.DataType.BFLOAT16: "build in float32",
}


def half_precision(model: ir.Model, dtype: ir.DataType) -> bool:
    """Make a float32 graph a strongly typed one of float32 and `dtype`, which is FLOAT16 or BFLOAT16.

    Weights are converted when they are read or saved, one at a time. Q/DQ pairs stay, and what a product reads is
    dequantised to half. A product that the graph's opset does not have in `dtype`, as bfloat16 convolutions before
    opset 22, stays float32.
    Raises FdcnError, naming the tensor, where a weight is outside the range of `dtype`; ValueError for a graph with
    another half type, with subgraphs or with a quantised projection; TypeError for one that is not well typed.
    """
    _check(model, dtype)
    chosen = _choose(model, dtype)
    rewriter = _Rewriter(model.graph, dtype, chosen)
    rewriter.run()
    check_types(model)
    return rewriter.modified


def _check(model: ir.Model, dtype: ir.DataType) -> None:
    halves = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
    if dtype not in halves:
        raise ValueError(f"{dtype} is no half precision")
    check_types(model)
    for node in model.graph:
        if any(value is not None and value.dtype in halves - {dtype} for value in (*node.inputs, *node.outputs)):
            raise ValueError(f"the graph has another half type already: {node}")
        if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
            raise ValueError(f"this pass does not see into subgraphs: {node}")
        if _kind(node) == _OPERATOR and (source := node.inputs[0]) is not None and _dequantised(source):
            raise ValueError(f"{spec.NAME} does not take a quantised projection: {node}")


@dataclasses.dataclass(frozen=True)
class _Half:
    """What becomes half of a node that does: numbers of its inputs, and its outputs."""

    inputs: list[int]
    outputs: list[ir.Value]


def _choose(model: ir.Model, dtype: ir.DataType) -> dict[ir.Node, _Half]:
    """The nodes that become half, in order."""
    able = {node: half for node in model.graph if (half := _able(node, model.opset_imports, dtype))}
    products = {node for node in able if _kind(node) in _PRODUCTS}
    chosen: dict[ir.Node, _Half] = {}
    halves = {value for node in model.graph for value in node.outputs if value.dtype == dtype}
    for node, half in able.items():
        if node in products or _feeds(node, products) or _follows(node, half, halves):
            chosen[node] = half
            halves.update(half.outputs)
    return chosen


def _able(node: ir.Node, opsets: Mapping[str, int], dtype: ir.DataType) -> _Half | None:
    """What of a node its operator's schema binds to one type, if that may be `dtype`."""
    found = rules(node, opsets)
    if found is None:
        return None
    # What QuantizeLinear makes is an integer or a float8; its scale has the type of what it reads.
    variable = found.inputs[0] if node.op_type == "QuantizeLinear" else found.outputs[0]
    inputs = [i for i, name in enumerate(found.inputs) if name == variable and node.inputs[i] is not None]
    outputs = [value for value, name in zip(node.outputs, found.outputs, strict=True) if name == variable]
    floats = all(
        v is not None and v.dtype in (ir.DataType.FLOAT, dtype) for v in (*(node.inputs[i] for i in inputs), *outputs)
    )
    return _Half(inputs, outputs) if floats and found.allow(variable, dtype) else None


def _feeds(node: ir.Node, products: set[ir.Node]) -> bool:
    """Whether a node dequantises for nothing but products."""
    return node.op_type == "DequantizeLinear" and products.issuperset(node.outputs[0].consumers())


def _follows(node: ir.Node, half: _Half, halves: set[ir.Value]) -> bool:
    activations = [value for i in half.inputs if (value := node.inputs[i]) is not None and not _constant(value)]
    if node.domain or node.op_type not in _FOLLOWERS or not activations:
        return False
    return halves.issuperset(activations) and (node.op_type != "Add" or len(activations) == 1)


class _Rewriter:
    """Puts casts between what was chosen and what was not, and converts the weights."""

    def __init__(self, graph: ir.Graph, dtype: ir.DataType, chosen: Mapping[ir.Node, _Half]) -> None:
        self.graph, self.dtype, self.chosen = graph, dtype, chosen
        self.modified = False
        self._other: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        for node in self.graph:
            half = self.chosen.get(node)
            for i, value in enumerate(node.inputs):
                if value is None or node.op_type in _UNTYPED:
                    continue
                wanted = self.dtype if half and i in half.inputs else ir.DataType.FLOAT
                if value.dtype in (ir.DataType.FLOAT, self.dtype) and value.dtype != wanted:
                    node.replace_input_with(i, self._converted(value, node))
            for value in half.outputs if half else ():
                value.type = ir.TensorType(self.dtype)
        for i, value in enumerate(self.graph.outputs):
            if value.dtype == self.dtype:
                self.graph.outputs[i] = self._edge(value)

    def _converted(self, value: ir.Value, before: ir.Node) -> ir.Value:
        """A value in the other of the two types, made once."""
        self.modified = True
        if value not in self._other:
            if _constant(value):
                self._other[value] = self._weight(value)
            else:
                self._other[value] = self._cast(value, before)
        return self._other[value]

    def _cast(self, value: ir.Value, before: ir.Node | None) -> ir.Value:
        to = self.dtype if value.dtype == ir.DataType.FLOAT else ir.DataType.FLOAT
        name = f"{value.name}_{to.name.lower()}"
        cast = ir.node("Cast", [value], {"to": to}, name=f"cast_{name}")
        cast.outputs[0].name, cast.outputs[0].type = name, ir.TensorType(to)
        if before is None:
            self.graph.append(cast)
        else:
            self.graph.insert_before(before, cast)
        return cast.outputs[0]

    def _edge(self, value: ir.Value) -> ir.Value:
        """A float32 output that takes the place and the name of one that has become half."""
        edge = self._other.get(value) or self._cast(value, None)
        edge.shape = value.shape
        edge.name, value.name = value.name, f"{value.name}_{self.dtype.name.lower()}"
        return edge

    def _weight(self, value: ir.Value) -> ir.Value:
        """A weight in half: itself, or a copy where something else wants it in float32."""
        assert value.name is not None
        assert value.const_value is not None
        tensor, uses = value.const_value, value.uses()
        if any(use.node not in self.chosen or use.idx not in self.chosen[use.node].inputs for use in uses):
            name = f"{value.name}_{self.dtype.name.lower()}"
            value = ir.Value(name=name, shape=value.shape, const_value=tensor)
            self.graph.register_initializer(value)
        scale = any(use.node.op_type in ("QuantizeLinear", "DequantizeLinear") for use in uses)
        value.const_value = _lowered(tensor, self.dtype, str(value.name), scale)
        value.type = ir.TensorType(self.dtype)
        return value


def _lowered(tensor: ir.TensorProtocol, dtype: ir.DataType, name: str, scale: bool) -> ir.LazyTensor:
    """A tensor converted whenever it is read, so that no more than one is in memory twice."""
    half, values, named = dtype.numpy(), tensor.numpy(), dtype.name.lower()
    limit = float(ml_dtypes.finfo(half).max)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not -limit <= low <= high <= limit:
        found = f"{name} holds values from {low:.6g} to {high:.6g}"
        raise FdcnError(f"{found}, and {named} holds up to {limit:.6g}: {_MENDS[dtype]}")
    if scale and not values.astype(half).all():
        raise FdcnError(f"the scale {name} goes down to {low:.6g}, which is 0 in {named}: {_MENDS[dtype]}")
    return ir.LazyTensor(
        lambda: ir.tensor(tensor.numpy().astype(half), dtype, name=name), dtype, ir.Shape(values.shape), name=name
    )


def _constant(value: ir.Value) -> bool:
    return value.is_initializer() and not value.is_graph_input()


def _dequantised(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _kind(node: ir.Node) -> tuple[str, str]:
    return node.domain, node.op_type
