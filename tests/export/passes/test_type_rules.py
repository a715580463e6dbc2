"""ONNX's type rules, as the passes read them."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from fdcn.export.passes.type_rules import check_types, rules
from fdcn.plugins import spec

OPSETS = {"": 20, spec.DOMAIN: spec.VERSION}


def value(dtype):
    return ir.Value(name=dtype.name, type=ir.TensorType(dtype), shape=ir.Shape([2]))


@pytest.mark.parametrize(
    ("domain", "name", "count", "inputs", "outputs"),
    [
        (spec.DOMAIN, spec.NAME, 3, ["T", "tensor(float)", "tensor(float)"], ["T"]),
        ("", "Reshape", 2, ["T", "tensor(int64)"], ["T"]),
        ("", "Concat", 4, ["T"] * 4, ["T"]),
        ("", "QuantizeLinear", 3, ["T1", "T1", "T2"], ["T2"]),
        ("", "Scan", 2, [None, None], [None]),
    ],
)
def test_variables(domain, name, count, inputs, outputs):
    found = rules(ir.node(name, [value(ir.DataType.FLOAT)] * count, domain=domain), OPSETS)
    assert (found.inputs, found.outputs) == (inputs, outputs)


def test_what_a_variable_may_be():
    found = rules(ir.node("Conv", [value(ir.DataType.FLOAT)] * 2), OPSETS)
    assert found.allow("T", ir.DataType.FLOAT16)
    assert not found.allow("T", ir.DataType.BFLOAT16)  # from opset 22 on
    assert rules(ir.node("Conv", [value(ir.DataType.FLOAT)] * 2), {"": 22}).allow("T", ir.DataType.BFLOAT16)


def test_an_operator_without_a_schema():
    assert rules(ir.node("Unheard", [], domain=spec.DOMAIN), OPSETS) is None
    assert rules(ir.node("Add", [], domain="elsewhere"), OPSETS) is None


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ("y = Add(x, one)", None),
        ("y = Add(x, half)", "half is FLOAT16, which does not fit T of Add"),
        ("y = Reshape(x, half)", r"half is FLOAT16, which does not fit tensor\(int64\) of Reshape"),
        ("b = Cast <to = 9> (x) y = Add(x, b)", "b is BOOL"),
    ],
)
def test_check(nodes, says):
    weights = {"one": np.float32(1), "half": np.float16(1)}
    text = f'<ir_version: 10, opset_import: ["": 20]> g (float[B, 8] x) => (float[B, 8] y) {{ {nodes} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(w), n) for n, w in weights.items() if n in text)
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("b", onnx.TensorProto.BOOL, None))
    model = ir.from_proto(proto)
    if says is None:
        ShapeInferencePass()(model)
        check_types(model)
    else:
        with pytest.raises(TypeError, match=says):
            check_types(model)
