"""SmoothQuant's migration (arXiv 2211.10438, equation 3), folded into the graph where that costs nothing.

x · W = (x / s) · (s W). The division moves up from what the products read, through what is linear in a channel, into
constants: a norm's weight, the bias and the columns of an earlier product, the values' columns of MultiScaleDCN's
projection. Where it meets a value that is none, a Mul is left: for FlowDCN's norms that is one of the shift
[batch, 1, K], and never one of the tokens.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from fdcn.export.products import activations, constant, products
from fdcn.plugins import schema, spec

_UNKNOWN = 1024
"""What an axis counts whose length is not known: batch, height, width."""
_LAYOUTS = {"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}

_Uses = tuple[tuple[ir.Node, int], ...]
"""Readers of a value: a node, and the number of its input."""


def migrate(model: ir.Model, factors: Mapping[ir.Value, np.ndarray]) -> bool:
    """Divide values that products read by factors [K], and multiply the rows of those products' weights by them.

    In real arithmetic no output changes, and no value that something else reads. Weights are computed when they are
    read or saved, one at a time. Raises ValueError for a value that no product reads.
    """
    readers = activations(products(model))
    if not factors.keys() <= readers.keys():
        raise ValueError("no product reads a value that is to be migrated")
    shapes = {value: value.shape for node in model.graph for value in node.outputs}
    schema.register()
    ShapeInferencePass()(model)
    editor = _Editor(model.graph)
    for value, factor in factors.items():
        wanted = np.asarray(factor, np.float64)
        uses = tuple((product.node, 0) for product in readers[value])
        for edit in _cheapest(value, uses, 1 / wanted).edits:
            editor.multiply(edit)
        for product in readers[value]:
            rows = wanted if product.transposed else wanted[:, None]
            editor.multiply(_Edit(product.weight, ((product.node, 1),), rows))
    for value, shape in shapes.items():
        value.shape = shape
    return bool(factors)


@dataclasses.dataclass(frozen=True)
class _Edit:
    """A value that some of its readers are to find multiplied."""

    value: ir.Value
    uses: _Uses
    factor: np.ndarray
    """float64; broadcasts to the value."""


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Edits that together multiply a value, and how many elements they compute at each run."""

    cost: int
    edits: Sequence[_Edit]


def _cheapest(value: ir.Value, uses: _Uses, factor: np.ndarray) -> _Plan:
    """How to multiply a value by a factor [K] along its last axis, for these readers and no other."""
    edit = _Edit(value, uses, factor)
    if constant(value):
        return _Plan(0, [edit])
    best = _Plan(_elements(value, len(factor)), [edit])
    alone = not value.is_graph_output() and set(uses) == {(use.node, use.idx) for use in value.uses()}
    producer = value.producer()
    if producer is None or not alone or _width(value) != len(factor):
        return best
    for way in _ways(producer, factor):
        plans = [_cheapest(source, ((producer, i),), f) for i, f in way if (source := producer.inputs[i]) is not None]
        plan = _Plan(sum(p.cost for p in plans), [edit for p in plans for edit in p.edits])
        best = min(plan, best, key=lambda plan: plan.cost)
    return best


def _ways(node: ir.Node, factor: np.ndarray) -> list[list[tuple[int, np.ndarray]]]:
    """Sets of a node's inputs: multiplying each by its factor multiplies the node's first output by `factor`."""
    kind, inputs = node.op_type, node.inputs
    if (node.domain, kind) == (spec.DOMAIN, spec.NAME):
        taps = node.attributes["groups"].as_int() * node.attributes["taps"].as_int() * len(spec.TAP_FIELDS)
        return [[(0, np.concatenate([factor, np.ones(taps)]))]]
    if node.domain:
        return []
    if kind == "Mul":
        return [[(0, factor)], [(1, factor)]]
    if kind in ("Add", "Sub"):
        return [[(0, factor), (1, factor)]]
    if kind == "Div" or (kind in _LAYOUTS and _keeps_channels(node)):
        return [[(0, factor)]]
    if kind in ("MatMul", "Gemm") and constant(inputs[1]) and _rank(inputs[1]) == 2:
        columns = factor[:, None] if node.attributes.get_int("transB", 0) else factor
        return [[(1, columns), *((i, factor) for i in range(2, len(inputs)))]]
    if kind == "LayerNormalization" and all(constant(value) for value in inputs[1:] if value is not None):
        return [[(i, factor) for i in range(1, len(inputs))]]
    return []


def _keeps_channels(node: ir.Node) -> bool:
    """Whether a layout's last axis is that of what it reads; they are as long."""
    source = node.inputs[0]
    if source is None or _width(source) != _width(node.outputs[0]):
        return False
    if node.op_type != "Transpose":
        return True
    order = node.attributes.get_ints("perm", range(_rank(source))[::-1])
    return order[-1] == len(order) - 1


def _elements(value: ir.Value, channels: int) -> int:
    """How many there are once the value has been multiplied; its last axis may be 1 before."""
    if value.shape is None:
        return _UNKNOWN**4
    return math.prod(axis if isinstance(axis, int) else _UNKNOWN for axis in value.shape[:-1]) * channels


def _width(value: ir.Value) -> int | None:
    """The length of the last axis, None where it is not known."""
    last = value.shape[-1] if value.shape is not None and len(value.shape) else None
    return last if isinstance(last, int) else None


def _rank(value: ir.Value | None) -> int:
    return len(value.shape) if value is not None and value.shape is not None else 0


class _Editor:
    """Multiplies values by constants in place, or for some of their readers."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._names = {value.name for node in graph for value in node.outputs} | {*graph.initializers}
        self._names |= {value.name for value in graph.inputs} | {node.name for node in graph}

    def multiply(self, edit: _Edit) -> None:
        value = edit.value
        if constant(value) and len(value.uses()) == len(edit.uses) and not value.is_graph_output():
            value.const_value = _product(value, edit.factor)
            value.shape = value.const_value.shape
            return
        result = self._constant(value, edit.factor) if constant(value) else self._computed(edit)
        for node, i in edit.uses:
            node.replace_input_with(i, result)

    def _constant(self, value: ir.Value, factor: np.ndarray) -> ir.Value:
        """A copy for those readers: the initialiser has others."""
        return self._initialiser(self._unique(f"{value.name}_migrated"), _product(value, factor))

    def _computed(self, edit: _Edit) -> ir.Value:
        value, name = edit.value, self._unique(f"{edit.value.name}_migrated")
        factor = ir.tensor(edit.factor.astype(np.float32), name=self._unique(f"{name}_by"))
        node = ir.node("Mul", [value, self._initialiser(str(factor.name), factor)], name=self._unique(f"node_{name}"))
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
        if value.shape is not None:
            node.outputs[0].shape = ir.Shape([*value.shape[:-1], len(edit.factor)])
        self.graph.insert_before(edit.uses[0][0], node)
        return node.outputs[0]

    def _initialiser(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.shape = ir.Shape(tensor.shape.numpy())
        self.graph.register_initializer(value)
        return value

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique


def _product(value: ir.Value, factor: np.ndarray) -> ir.LazyTensor:
    """An initialiser's tensor times a factor, rounded once, computed whenever it is read."""
    tensor, name = value.const_value, value.name
    assert tensor is not None
    shape = np.broadcast_shapes(tensor.shape.numpy(), factor.shape)
    return ir.LazyTensor(
        lambda: ir.tensor((tensor.numpy() * factor).astype(np.float32), name=name),
        ir.DataType.FLOAT,
        ir.Shape(shape),
        name=name,
    )
