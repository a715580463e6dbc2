"""The registered schema: what onnx's checker and shape inference make of the operator."""

import onnx
import onnx.shape_inference
import pytest
from onnx import TensorProto, checker, helper

from fdcn.plugins import schema, spec

LAYOUT = {"groups": 2, "taps": 9}


def model(shape, dtype=TensorProto.FLOAT, **attributes):
    node = helper.make_node(spec.NAME, spec.INPUTS, [spec.OUTPUT], domain=spec.DOMAIN, **attributes)
    inputs = [
        helper.make_tensor_value_info("projection", dtype, shape),
        helper.make_tensor_value_info("prior", TensorProto.FLOAT, [9, 2]),
        helper.make_tensor_value_info("s_max", TensorProto.FLOAT, ["N", 2]),
    ]
    # The output's axes are left to shape inference, its number of axes is not: the checker asks for it.
    outputs = [helper.make_tensor_value_info("out", dtype, [None] * 4)]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(spec.DOMAIN, spec.VERSION)]
    return helper.make_model(
        helper.make_graph([node], "one", inputs, outputs), opset_imports=opsets, functions=[], ir_version=10
    )


def inferred(proto):
    result = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    return result.graph.output[0].type.tensor_type


@pytest.fixture(autouse=True)
def _registered():
    schema.register()


def test_registering_twice_is_one_schema():
    schema.register()
    every = onnx.defs.get_all_schemas_with_history()
    assert [s.since_version for s in every if (s.domain, s.name) == (spec.DOMAIN, spec.NAME)] == [spec.VERSION]


def test_says_the_contract():
    found = onnx.defs.get_schema(spec.NAME, spec.DOMAIN)
    assert [(i.name, i.type_str) for i in found.inputs] == [
        ("projection", "T"),
        ("prior", "tensor(float)"),
        ("s_max", "tensor(float)"),
    ]
    assert [(o.name, o.type_str) for o in found.outputs] == [("out", "T")]
    assert {a.name for a in found.attributes.values() if a.required} == {"groups", "taps"}
    defaults = {n: a.default_value.s.decode() for n, a in found.attributes.items() if not a.required}
    assert defaults == spec.PLUGIN_ATTRIBUTES
    assert len(found.type_constraints[0].allowed_type_strs) == len(spec.DTYPES)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_infers_the_output(dtype):
    proto = model(["N", 7, "W", 2 * (5 + 36)], dtype, **LAYOUT)
    checker.check_model(proto, full_check=True)
    result = inferred(proto)
    assert result.elem_type == dtype
    assert [d.dim_param or d.dim_value for d in result.shape.dim] == ["N", 7, "W", 10]


def test_an_unknown_width_stays_unknown():
    assert not inferred(model(["N", 7, 7, "width"], **LAYOUT)).shape.dim[3].HasField("dim_value")


@pytest.mark.parametrize(
    ("shape", "message"), [([1, 7, 7, 72], "72 wide"), ([1, 7, 7, 75], "75 wide"), ([7, 7, 82], "3 axes")]
)
def test_refuses_a_projection_that_does_not_fit(shape, message):
    with pytest.raises(onnx.shape_inference.InferenceError, match=message):
        inferred(model(shape, **LAYOUT))


@pytest.mark.parametrize(
    ("dtype", "attributes", "message"),
    [
        (TensorProto.FLOAT, {"groups": 2}, "taps"),
        (TensorProto.FLOAT, {**LAYOUT, "dilation": 2}, "dilation"),
        (TensorProto.DOUBLE, LAYOUT, "tensor\\(double\\)"),
    ],
)
def test_the_checker_refuses(dtype, attributes, message):
    with pytest.raises((checker.ValidationError, onnx.shape_inference.InferenceError), match=message):
        checker.check_model(model([1, 7, 7, 82], dtype, **attributes), full_check=True)
