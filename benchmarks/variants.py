"""Edits of the graph that TensorRT gets, which may be faster or not: what a GPU is to decide.

Each takes the half-precision denoiser, changes it in place, and is measured alone against the graph without it (stage
gpu-bench). What wins there moves into fdcn/export/passes; docs/engines.md has the table.
"""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

Edit = Callable[[ir.Model], None]
_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_NORMS = {"Pow", "LayerNormalization"}
"""The first node of each norm."""


def join_products(model: ir.Model) -> None:
    """Products of one activation, as SwiGLU's pair: one product with the weights side by side, and a Split."""
    for value in [value for node in model.graph for value in node.outputs]:
        products = [node for node in value.consumers() if _is_product(node, value)]
        if len(products) < 2:
            continue
        weights = [node.inputs[1].const_value for node in products]
        widths = np.array([weight.shape[1] for weight in weights])
        weight = _initializer(model, f"{value.name}_joined", np.concatenate([w.numpy() for w in weights], 1))
        product = ir.node("MatMul", [value, weight], name=f"joined_{value.name}")
        sizes = _initializer(model, f"{value.name}_widths", widths)
        split = ir.node("Split", [product.outputs[0], sizes], {"axis": -1}, num_outputs=len(products))
        _type([*product.outputs, *split.outputs], products[0].outputs[0].dtype)
        model.graph.insert_before(products[0], [product, split])
        for node, part in zip(products, split.outputs, strict=True):
            _replace(model, node, part)
    _drop_unused(model)


def half_stream(model: ir.Model) -> None:
    """The residual stream stored in half: each sum of it is rounded, and computed with in float32 all the same."""
    dtype = next(v.dtype for node in model.graph for v in node.outputs if v.dtype in _HALVES)
    for node in [node for node in model.graph if _is_residual(node)]:
        total = node.outputs[0]
        uses = [(use.node, use.idx) for use in total.uses()]
        stored = ir.node("Cast", [total], {"to": dtype}, name=f"stored_{total.name}")
        read = ir.node("Cast", [stored.outputs[0]], {"to": ir.DataType.FLOAT}, name=f"read_{total.name}")
        _type(stored.outputs, dtype)
        _type(read.outputs, ir.DataType.FLOAT)
        model.graph.insert_after(node, [stored, read])
        for user, index in uses:
            user.replace_input_with(index, read.outputs[0])


def rows_first(model: ir.Model) -> None:
    """Inputs that are read a block at a time, turned to [blocks, B, …] once, so that what is read is contiguous."""
    for given in model.graph.inputs:
        readers = [n for n in given.consumers() if n.op_type == "Gather" and n.attributes["axis"].as_int() == 1]
        if not readers:
            continue
        axes = range(len(given.shape))
        turned = ir.node("Transpose", [given], {"perm": [1, 0, *axes[2:]]}, name=f"turned_{given.name}")
        _type(turned.outputs, given.dtype)
        model.graph.insert_before(readers[0], turned)
        for node in readers:
            node.replace_input_with(0, turned.outputs[0])
            node.attributes["axis"] = ir.AttrInt64("axis", 0)


def half_softmax(model: ir.Model) -> None:
    """Attention's Softmax in half, without the casts around it: how TensorRT's own examples of attention are typed."""
    for node in [node for node in model.graph if node.op_type == "Softmax"]:
        before = node.inputs[0].producer()
        after = node.outputs[0].consumers()
        assert before is not None
        assert {before.op_type, *(cast.op_type for cast in after)} == {"Cast"}
        source = before.inputs[0]
        assert source is not None
        node.replace_input_with(0, source)
        _type(node.outputs, source.dtype)
        for cast in after:
            _replace(model, cast, node.outputs[0])
    _drop_unused(model)


FLOWDCN: dict[str, Edit] = {"joined SwiGLU": join_products, "half stream": half_stream, "rows first": rows_first}
"""What is measured on FlowDCN's denoiser."""


def _is_product(node: ir.Node, value: ir.Value) -> bool:
    return node.op_type == "MatMul" and node.inputs[0] is value and node.inputs[1].const_value is not None


def _is_residual(node: ir.Node) -> bool:
    """Whether a node is a sum of the stream, which is what norms read in float32."""
    users = {user.op_type for user in node.outputs[0].consumers()}
    return node.op_type == "Add" and node.outputs[0].dtype == ir.DataType.FLOAT and bool(users & _NORMS)


def _initializer(model: ir.Model, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    model.graph.register_initializer(value)
    return value


def _type(values: list[ir.Value] | tuple[ir.Value, ...], dtype: ir.DataType | None) -> None:
    assert dtype is not None
    for value in values:
        value.type = ir.TensorType(dtype)


def _replace(model: ir.Model, node: ir.Node, value: ir.Value) -> None:
    """Let everything that reads a node's only output read a value instead, and take the node away."""
    for use in list(node.outputs[0].uses()):
        use.node.replace_input_with(use.idx, value)
    model.graph.remove(node, safe=True)


def _drop_unused(model: ir.Model) -> None:
    common.RemoveUnusedNodesPass()(model)
