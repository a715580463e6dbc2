"""Folding: what the exporter has folded stays, the operator's body shrinks, and no weight is touched."""

import collections

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnx_ir.passes.common import InlinePass, ShapeInferencePass
from oracles import TOLERANCES, assert_close

from fdcn.export.passes.fold_constants import LARGEST, fold_constants
from fdcn.export.passes.strip_operator import strip_operator


def graph(bundle, name):
    return ir.load(bundle.graph(bundle.manifest.graphs[name]))


def small(text, **weights):
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> g {text}')
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items())
    return ir.from_proto(proto)


def counts(model):
    return collections.Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize("name", ["conditioner", "denoiser"])
def test_exported_graphs_are_folded_already(tiny_bundle, name):
    model = graph(tiny_bundle, name)
    strip_operator(model)
    before = ir.to_proto(model).graph.node
    assert not fold_constants(model)
    assert ir.to_proto(model).graph.node == before
    assert all(value.shape is None for node in model.graph for value in node.outputs if not value.is_graph_output())


def test_the_operators_body(tiny_bundle, tmp_path):
    inlined, folded = graph(tiny_bundle, "denoiser"), graph(tiny_bundle, "denoiser")
    InlinePass()(inlined)
    assert fold_constants(folded)
    assert not folded.functions
    assert len(folded.graph) < 0.7 * len(inlined.graph)
    # How wide the projection is, and so how many channels a group has.
    assert counts(folded)["Shape"] == counts(inlined)["Shape"] - tiny_bundle.manifest.model.blocks
    assert not fold_constants(folded)
    rng = np.random.default_rng(0)
    shapes = {"latent": (2, 4, 6, 10), "modulation": (2, 11, 6, 64), "final": (2, 2, 64), "s_max": (2, 11, 2)}
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    outputs = []
    for name, model in {"inlined": inlined, "folded": folded}.items():
        ir.save(model, tmp_path / f"{name}.onnx", external_data=f"{name}.data")
        session = ort.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        outputs += session.run(None, feeds)
    assert_close(*outputs, *TOLERANCES["float32"])


def test_shape_arithmetic_and_equal_nodes():
    model = small(
        """(float[B, 8, 4] x) => (float[B, 32] y) {
            s = Shape <start = 1, end = 3> (x)
            n = ReduceProd <keepdims = 1> (s)
            t = Concat <axis = 0> (free, n)
            a = Reshape(x, t)
            b = Reshape(x, t)
            y = Add(a, b)
        }""",
        free=np.int64([-1]),
    )
    assert fold_constants(model)
    assert counts(model) == {"Reshape": 1, "Add": 1}
    reshape = model.graph[0]
    np.testing.assert_array_equal(ir.convenience.get_const_tensor(reshape.inputs[1]).numpy(), [-1, 32])


def test_weights_are_neither_read_nor_copied():
    def read():
        raise AssertionError("a weight was read")

    model = small(
        """(float[B, 8] x) => (float[B, 8] y) {
            h = MatMul(x, w)
            c = Cast <to = 10> (w)
            d = Cast <to = 1> (c)
            y = MatMul(h, d)
        }""",
        w=np.eye(8, dtype=np.float32),
    )
    weight = model.graph.initializers["w"]
    weight.shape = ir.Shape([8, LARGEST // 8 + 1])
    weight.const_value = tensor = ir.LazyTensor(read, ir.DataType.FLOAT, weight.shape, name="w")
    fold_constants(model)
    assert counts(model) == {"MatMul": 2, "Cast": 2}
    assert model.graph.initializers["w"].const_value is tensor


def test_quantised_weights_stay_quantised():
    model = small(
        "(float[B, 8] x) => (float[B, 8] y) { d = DequantizeLinear(w, scale, zero) y = MatMul(x, d) }",
        w=np.ones((8, 8), np.int8),
        scale=np.float32(0.1),
        zero=np.int8(0),
    )
    ShapeInferencePass()(model)
    assert not fold_constants(model)
    assert counts(model) == {"DequantizeLinear": 1, "MatMul": 1}


def test_a_graph_that_is_not_well_typed():
    model = small("(float[B, 8] x) => (float[B, 8] y) { y = Add(x, one) }", one=np.float64(1))
    with pytest.raises(TypeError, match="one is DOUBLE, which does not fit T of Add"):
        fold_constants(model)
