"""Compute ahead of time what does not depend on the graph's inputs, and once what is computed twice."""

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from fdcn.export.passes.type_rules import check_types
from fdcn.plugins import schema

LARGEST = 8192
"""Elements of the largest constant that is read or made: weights are larger, and stay where they are."""


def fold_constants(model: ir.Model) -> bool:
    """Fold constants and merge equal nodes, those in the bodies of functions included, which are inlined for that.

    What torch exports is folded already. The operator's body is not, as its width is known only where it is used: a
    graph that no plugin runs loses a third of its nodes.
    Raises TypeError for a graph that is not well typed, ValueError where its inputs or outputs would change.
    """
    schema.register()
    edges = _edges(model)
    modified = bool(model.functions) and common.InlinePass()(model).modified
    while _round(model):
        modified = True
    _forget_shapes(model.graph)
    check_types(model)
    if _edges(model) != edges:
        raise ValueError(f"folding constants changed the graph's edges from {edges} to {_edges(model)}")
    return modified


def _round(model: ir.Model) -> bool:
    """One pass over the graph; what it folds may let shapes be known that the next one folds."""
    common.ShapeInferencePass()(model)
    folded = optimizer.fold_constants(
        model, onnx_shape_inference=True, input_size_limit=LARGEST, output_size_limit=LARGEST
    ).modified
    merged = common.CommonSubexpressionEliminationPass()(model).modified
    removed = common.RemoveUnusedNodesPass()(model).modified
    return folded or merged or removed


def _forget_shapes(graph: ir.Graph) -> None:
    """Drop the shapes inside, whose axes inference has named by numbers that say nothing."""
    outputs = set(graph.outputs)
    for node in graph:
        for value in node.outputs:
            if value not in outputs:
                value.shape = None


def _edges(model: ir.Model) -> list[tuple[str | None, ir.DataType | None]]:
    return [(value.name, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]
