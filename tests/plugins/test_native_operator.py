"""`fdcn_ops`, the operator in C++ for ONNX Runtime on a CPU, against the oracle."""

import functools

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from oracles import (
    BORDERS,
    LAYOUTS,
    TOLERANCES,
    assert_close,
    assert_same,
    border_inputs,
    golden_case,
    random_inputs,
)

from fdcn.plugins import function, spec
from fdcn.plugins.reference import multi_scale_dcn

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


@pytest.fixture
def run(ops_library):
    """run(inputs, groups, taps) → the native operator's output."""

    def run(inputs, groups, taps):
        feeds = dict(zip(spec.INPUTS, inputs, strict=True))
        return _session(str(ops_library), groups, taps, inputs[0].dtype.name).run(None, feeds)[0]

    return run


@functools.cache
def _session(library, groups, taps, dtype):
    return _open(_model(groups, taps, dtype), library)


def _open(model, library):
    options = ort.SessionOptions()
    options.log_severity_level = 4  # a refused input is part of a test
    options.register_custom_ops_library(library)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _model(groups, taps, dtype, functions=()):
    attributes = {"groups": groups, "taps": taps, **spec.PLUGIN_ATTRIBUTES}
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(spec.NAME, spec.INPUTS, [spec.OUTPUT], domain=spec.DOMAIN, **attributes)],
        "operator",
        [
            value("projection", TYPES[dtype], ["N", "H", "W", "width"]),
            value("prior", TensorProto.FLOAT, ["K", 2]),
            value("s_max", TensorProto.FLOAT, ["images", 2]),
        ],
        [value(spec.OUTPUT, TYPES[dtype], ["N", "H", "W", "values"])],
    )
    opsets = [helper.make_opsetid("", function.OPSET), helper.make_opsetid(spec.DOMAIN, spec.VERSION)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize("channels", range(1, 131))
def test_every_number_of_channels(run, channels):
    inputs = random_inputs((2, 3, 4), 2, channels, 9)
    assert_same(run(inputs, 2, 9), multi_scale_dcn(*inputs, 2, 9))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "groups", "channels", "taps"), LAYOUTS)
def test_layouts(run, shape, groups, channels, taps, dtype):
    projection, prior, s_max = random_inputs(shape, groups, channels, taps)
    inputs = projection.astype(dtype), prior, s_max
    assert_same(run(inputs, groups, taps), multi_scale_dcn(*inputs, groups, taps))


@pytest.mark.parametrize("taps", [8, 63, 64, 65, 161, 400])
def test_more_taps_than_are_placed_together(run, taps):
    inputs = random_inputs((1, 3, 37), 2, 5, taps)
    assert_same(run(inputs, 2, taps), multi_scale_dcn(*inputs, 2, taps))


@pytest.mark.parametrize("columns", [1, 2, 16, 17, 18, 35, 100])
def test_rows_that_fill_no_chunk(run, columns):
    inputs = random_inputs((2, 2, columns), 1, 8, 9)
    assert_same(run(inputs, 1, 9), multi_scale_dcn(*inputs, 1, 9))


@pytest.mark.parametrize("case", BORDERS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 5)])
def test_borders(run, case, size):
    inputs = border_inputs(*size, **BORDERS[case])
    assert_same(run(inputs, 1, 1), multi_scale_dcn(*inputs, 1, 1))


@pytest.mark.parametrize("field", spec.TAP_FIELDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-45, 90, -90])
def test_extreme_taps(run, field, value):
    projection, prior, s_max = random_inputs((1, 4, 5), 2, 6, 9)
    projection[..., 12 + spec.TAP_FIELDS.index(field) :: 8] = value
    inputs = projection, prior, s_max
    assert_same(run(inputs, 2, 9), multi_scale_dcn(*inputs, 2, 9))


@pytest.mark.parametrize("value", [1e30, -1e30, 3e38, -3e38])
def test_taps_thrown_far_away(run, value):
    projection, prior, s_max = random_inputs((1, 4, 5), 2, 6, 9)
    projection[..., 12::8] = value
    inputs = projection, prior, s_max
    assert_same(run(inputs, 2, 9), multi_scale_dcn(*inputs, 2, 9))


@pytest.mark.parametrize("case", [0, 1, 2])
def test_golden(run, golden, case):
    inputs, groups, taps, want = golden_case(golden / f"op_{case}.npz")
    assert_close(run(inputs, groups, taps), want, *TOLERANCES["golden"])


def test_every_float16(run):
    """Conversions from and to float16: taps that read one cell with weight 1 copy every number that there is."""
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    projection = np.zeros((1, 16, 64, 64 + 4), np.float16)
    projection[..., :64] = numbers.reshape(1, 16, 64, 64)
    projection[..., 67] = 1
    got = run((projection, np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)), 1, 1)
    # A neighbour's weight is 0, and 0 times infinity or NaN is NaN: only rows of finite numbers are copied.
    finite = np.isfinite(numbers.reshape(16, 64, 64)).all(-1)
    finite[:, :-1] &= finite[:, 1:]
    finite[:-1] &= finite[1:]
    assert finite.sum() > 900
    assert_close(got[0][finite], numbers.reshape(16, 64, 64)[finite], 0, 0)


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_empty(run, shape):
    assert run(random_inputs(shape, 2, 5, 9), 2, 9).shape == (*shape, 10)


def test_the_function_of_the_file_gives_way(ops_library):
    """An exported file carries the function; where the library is registered, that runs: here the function is wrong."""
    inputs = random_inputs((1, 3, 3), 2, 5, 9)
    wrong = function.function(2, 9)
    wrong.node[-1].output[0] = "right"
    wrong.node.append(helper.make_node("Neg", ["right"], [spec.OUTPUT]))
    session = _open(_model(2, 9, "float32", (wrong,)), str(ops_library))
    got = session.run(None, dict(zip(spec.INPUTS, inputs, strict=True)))[0]
    assert_same(got, multi_scale_dcn(*inputs, 2, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, prior, s_max: (p[..., :-1], prior, s_max), "cannot hold 2 groups of 9 taps"),
        (lambda p, prior, s_max: (p[..., :72], prior, s_max), "cannot hold 2 groups of 9 taps"),
        (lambda p, prior, s_max: (p, prior[:-1], s_max), "prior is not"),
        (lambda p, prior, s_max: (p, prior, s_max[:1]), "s_max is not"),
    ],
)
def test_wrong_shapes_are_refused(run, change, message):
    with pytest.raises(Exception, match=message):
        run(change(*random_inputs((2, 3, 3), 2, 5, 9)), 2, 9)


@pytest.mark.parametrize(("groups", "taps"), [(0, 9), (2, 0), (-1, 9), (2**20, 2**20)])
def test_impossible_attributes_are_refused(ops_library, groups, taps):
    with pytest.raises(Exception, match="groups or taps"):
        _session(str(ops_library), groups, taps, "float32")


def test_batch_mates_do_not_matter(run):
    projection, prior, s_max = random_inputs((3, 4, 4), 2, 8, 9)
    together = run((projection, prior, s_max), 2, 9)
    for i in range(3):
        np.testing.assert_array_equal(run((projection[i : i + 1], prior, s_max[i : i + 1]), 2, 9)[0], together[i])
