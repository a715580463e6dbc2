"""The operator's nodes without its body."""

import onnx_ir as ir
import pytest

from fdcn.export.passes.embed_operator import embed_operator
from fdcn.export.passes.strip_operator import strip_operator
from fdcn.plugins import spec


@pytest.fixture
def model(tiny_bundle):
    return ir.load(tiny_bundle.graph(tiny_bundle.manifest.graphs["denoiser"]))


def test_nodes_stay(model):
    nodes = ir.to_proto(model).graph.node
    assert strip_operator(model)
    assert not model.functions
    assert model.opset_imports == {"": 20, spec.DOMAIN: spec.VERSION}
    assert ir.to_proto(model).graph.node == nodes
    assert not strip_operator(model)


def test_embedding_is_the_inverse(model):
    function = ir.to_proto(model).functions[0].node
    strip_operator(model)
    assert embed_operator(model)
    assert ir.to_proto(model).functions[0].node == function


def test_other_functions_stay(model):
    other = ir.Function("other", "function", graph=ir.Graph((), (), nodes=(), opset_imports={"": 20}), attributes=())
    model.functions[other.identifier()] = other
    assert strip_operator(model)
    assert [*model.functions] == [other.identifier()]


def test_nothing_to_strip(tiny_bundle):
    assert not strip_operator(ir.load(tiny_bundle.graph(tiny_bundle.manifest.graphs["conditioner"])))


def test_another_version_of_the_operator(model):
    model.opset_imports[spec.DOMAIN] = 7
    with pytest.raises(ValueError, match="imports version 7 of the operators of 'fdcn', not 1"):
        strip_operator(model)
