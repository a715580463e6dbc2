"""Which nodes are products, and what they are called."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from fdcn.export.products import activations, products
from fdcn.export.read import read

TEXT = """<ir_version: 10, opset_import: ["": 20]> g (float[B, 8] x, float[8, 8] given) => (float[B, 4] y) {
    a = MatMul(x, first)
    b = MatMul(x, plain)
    c = Gemm <transB = 1> (x, turned)
    d = MatMul(a, first)
    e = MatMul(d, given)
    f = MatMul(plain, e)
    s = MatMul(x, stack)
    t = Gemm <transA = 1> (x, x)
    i = MatMul(b, c)
    y = Gemm(x, turned)
}"""


@pytest.fixture
def model():
    proto = onnx.parser.parse_model(TEXT)
    rng = np.random.default_rng(0)
    shapes = {"first": (8, 8), "plain": (8, 8), "turned": (4, 8), "stack": (2, 8, 3)}
    for name, shape in shapes.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(rng.standard_normal(shape, np.float32), name))
    for name, full in {"first": "blocks.10.w1.weight", "turned": "turned.weight"}.items():  # the text has no dots
        for node in proto.graph.node:
            node.input[:] = [full if value == name else value for value in node.input]
        next(tensor for tensor in proto.graph.initializer if tensor.name == name).name = full
    return ir.from_proto(proto)


def test_products(model):
    found = products(model)
    assert [(p.name, p.role, p.read.name, p.shape, p.transposed) for p in found] == [
        ("blocks.10.w1", "blocks.*.w1", "x", (8, 8), False),
        ("plain", "plain", "x", (8, 8), False),
        ("turned", "turned", "x", (8, 4), True),
        ("blocks.10.w1#2", "blocks.*.w1#2", "a", (8, 8), False),
        ("turned#2", "turned#2", "x", (4, 8), False),
    ]
    for product in found:
        assert product.values().shape == product.shape
    np.testing.assert_array_equal(found[2].values().T, found[4].values())


def test_activations(model):
    found = activations(products(model))
    names = {value.name: [product.name for product in readers] for value, readers in found.items()}
    assert names == {"x": ["blocks.10.w1", "plain", "turned", "turned#2"], "a": ["blocks.10.w1#2"]}


def test_products_of_the_denoiser(shipped_bundle):
    found = products(read(shipped_bundle.graph(shipped_bundle.manifest.graphs["denoiser"])))
    names = [product.name for product in found]
    assert (names[0], names[-1], len(names)) == ("embed", "head", 57)
    assert [*dict.fromkeys(p.role for p in found[1:-1])] == [
        f"blocks.*.{name}" for name in ("projection", "out", "w1", "w3", "w2")
    ]
    together = [[product.name for product in readers] for readers in activations(found).values() if len(readers) > 1]
    assert together == [[f"blocks.{i}.w1", f"blocks.{i}.w3"] for i in range(11)]
