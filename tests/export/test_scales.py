"""Scales and codes, against ONNX Runtime's QuantizeLinear and against what float16 holds."""

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.bundle import QUANTISED
from fdcn.export.recipe import LARGEST
from fdcn.export.scales import STORED, codes, rounded, scale

TYPES = {"int8": onnx.TensorProto.INT8, "fp8": onnx.TensorProto.FLOAT8E4M3FN}
MAGNITUDES = st.floats(2.0**-30, 2.0**40, width=32)


@pytest.mark.parametrize("precision", QUANTISED)
@settings(deadline=None)
@given(MAGNITUDES)
def test_a_scale_is_the_next_number_of_float16(precision, largest):
    found, wanted = scale(largest, precision), np.float64(largest) / LARGEST[precision]
    assert found.dtype == np.float32
    half = np.float16(found) if wanted <= 65504 else None
    if half is None:
        assert found == np.float32(wanted)
    else:
        assert half.astype(np.float64) == found.astype(np.float64)
        assert np.nextafter(half, np.float16(0)).astype(np.float64) < wanted <= half.astype(np.float64)


@pytest.mark.parametrize("precision", QUANTISED)
def test_scales_of_an_array(precision):
    largest = np.float32([0, 1, 448, 1e-12, 1e12])
    found = scale(largest, precision)
    np.testing.assert_array_equal(found, np.concatenate([scale(value, precision)[None] for value in largest]))
    assert found[0] == 1
    assert (found > 0).all()


def quantise_linear(values, by, precision):
    """ONNX Runtime's codes, as numbers."""
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    back = onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])
    floats = onnx.TensorProto.FLOAT
    x, y = (onnx.helper.make_tensor_value_info(name, floats, [None]) for name in "xy")
    zero = onnx.helper.make_tensor("z", TYPES[precision], [], b"\0", raw=True)
    weights = [onnx.numpy_helper.from_array(np.float32(by), "s"), zero]
    graph = onnx.helper.make_graph([node, back], "g", [x], [y], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


@pytest.mark.parametrize("precision", QUANTISED)
@pytest.mark.parametrize("by", [0.0078125, 0.1, 3.0])
def test_codes_are_those_of_quantize_linear(precision, by):
    rng = np.random.default_rng(0)
    top = LARGEST[precision] * by
    ties = (np.arange(-300, 300) / 2 * by).astype(np.float32)
    values = np.concatenate([ties, rng.uniform(-1.2 * top, 1.2 * top, 5000), rng.standard_normal(5000) * by])
    values = np.concatenate([values, [0, -0.0, 1e30, -1e30, top, -top]]).astype(np.float32)
    np.testing.assert_array_equal(rounded(values, np.float32(by), precision), quantise_linear(values, by, precision))


@pytest.mark.parametrize("precision", QUANTISED)
def test_what_is_stored(precision):
    found = codes(np.float32([[1, -2], [3, 500]]), np.float32([1, 2]), precision)
    assert found.dtype == STORED[precision]
    np.testing.assert_array_equal(found.astype(np.float32)[:, 0], [1, 3])
    assert {"int8": np.int8, "fp8": ml_dtypes.float8_e4m3fn} == STORED
