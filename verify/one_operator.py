"""MultiScaleDCN alone, in the layouts that a bundle's network has: a graph of a single node."""

import dataclasses

import onnx
import onnx_ir as ir

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.passes.embed_operator import embed_operator
from fdcn.plugins import function, schema, spec

NAME = "operator"
"""Of the graph."""
IR_VERSION = 10


@dataclasses.dataclass(frozen=True, order=True)
class Layout:
    """What is fixed in a graph that has the operator."""

    groups: int
    channels: int
    taps: int

    def __str__(self) -> str:
        return f"{self.groups}x{self.channels}, {self.taps} taps"


def layouts(bundle: Bundle) -> list[Layout]:
    """The layouts in a bundle's denoiser. Raises FdcnError where the operator is not in it."""
    schema.register()
    path = bundle.graph(bundle.manifest.graphs["denoiser"])
    graph = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False)).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in graph.value_info}
    found = set()
    for node in graph.node:
        if (node.domain, node.op_type) == (spec.DOMAIN, spec.NAME):
            numbers = {attribute.name: attribute.i for attribute in node.attribute}
            groups, taps = numbers["groups"], numbers["taps"]
            values = spec.value_width(shapes[node.input[0]][-1].dim_value, groups, taps)
            found.add(Layout(groups, values // groups, taps))
    if not found:
        raise FdcnError(f"{path} has no {spec.DOMAIN}::{spec.NAME}; run fdcn export again")
    return sorted(found)


def one_node(layout: Layout) -> ir.Model:
    """A graph of the operator and its function: all edges float32; images, rows and columns dynamic."""
    groups, channels, taps = dataclasses.astuple(layout)
    axes = {
        "projection": ["N", "H", "W", spec.projection_width(groups, channels, taps)],
        "prior": [taps, 2],
        "s_max": ["N", 2],
        spec.OUTPUT: ["N", "H", "W", groups * channels],
    }
    values = {
        name: ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        for name, shape in axes.items()
    }
    inputs, output = [values[name] for name in spec.INPUTS], values[spec.OUTPUT]
    attributes = {"groups": groups, "taps": taps, **spec.PLUGIN_ATTRIBUTES}
    node = ir.node(spec.NAME, inputs, attributes, domain=spec.DOMAIN, outputs=[output], name=NAME)
    opsets = {"": function.OPSET, spec.DOMAIN: spec.VERSION}
    graph = ir.Graph(inputs, [output], nodes=[node], opset_imports=opsets, name=NAME)
    model = ir.Model(graph, ir_version=IR_VERSION, producer_name="fdcn")
    embed_operator(model)
    return model
