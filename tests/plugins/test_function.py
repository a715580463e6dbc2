"""The body of standard operators, run by plain ONNX Runtime, against the oracle and the golden arrays."""

import functools
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    scalar_multi_scale_dcn,
)

from fdcn.plugins import function, schema, spec
from fdcn.plugins.reference import multi_scale_dcn

MEMORY = 6
"""Peak memory over the projection's bytes. Design asks for less than 12."""


def model(groups, taps, dtype=TensorProto.FLOAT, nodes=1, chunked=True):
    """`nodes` operators side by side, output i from projection i; float32 at the edges, `dtype` between."""
    graph, inputs, outputs = [], [], []
    for i in range(nodes):
        attributes = {"groups": groups, "taps": taps, **spec.PLUGIN_ATTRIBUTES}
        names = [f"typed_{i}", "prior", "s_max"]
        graph += [
            helper.make_node("Cast", [f"projection_{i}"], [f"typed_{i}"], to=dtype),
            helper.make_node(spec.NAME, names, [f"typed_out_{i}"], domain=spec.DOMAIN, **attributes),
            helper.make_node("Cast", [f"typed_out_{i}"], [f"out_{i}"], to=TensorProto.FLOAT),
        ]
        inputs.append(_float(f"projection_{i}", ["N", "H", "W", "width"]))
        outputs.append(_float(f"out_{i}", ["N", "H", "W", "values"]))
    inputs += [_float("prior", [taps, 2]), _float("s_max", ["N", 2])]
    return helper.make_model(
        helper.make_graph(graph, "operators", inputs, outputs),
        functions=[function.function(groups, taps, chunked)],
        opset_imports=[helper.make_opsetid("", function.OPSET), helper.make_opsetid(spec.DOMAIN, spec.VERSION)],
        ir_version=10,
    )


def _float(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


@functools.cache
def _session(groups, taps, **options):
    return ort.InferenceSession(model(groups, taps, **options).SerializeToString(), providers=["CPUExecutionProvider"])


def run(inputs, groups, taps, **options):
    feeds = dict(zip(("projection_0", "prior", "s_max"), inputs, strict=True))
    return _session(groups, taps, **options).run(None, feeds)[0]


FORMS = pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "at_once"])


@FORMS
@pytest.mark.parametrize("case", [0, 1, 2])
def test_golden(golden, case, chunked):
    inputs, groups, taps, want = golden_case(golden / f"op_{case}.npz")
    assert_close(run(inputs, groups, taps, chunked=chunked), want, *TOLERANCES["golden"])


@FORMS
@pytest.mark.parametrize(("shape", "groups", "channels", "taps"), LAYOUTS)
def test_layouts(shape, groups, channels, taps, chunked):
    inputs = random_inputs(shape, groups, channels, taps)
    assert_same(run(inputs, groups, taps, chunked=chunked), scalar_multi_scale_dcn(*inputs, groups, taps))


@FORMS
@pytest.mark.parametrize("grid", [(3, 4), (1, 3), (1, 1)])
@pytest.mark.parametrize("border", BORDERS)
def test_borders(grid, border, chunked):
    inputs = border_inputs(*grid, **BORDERS[border])
    assert_same(run(inputs, 1, 1, chunked=chunked), scalar_multi_scale_dcn(*inputs, 1, 1))


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(1, 6), st.integers(0, 99))
def test_one_session_serves_any_size(shape, channels, seed):
    inputs = random_inputs(shape, 3, channels, 9, seed)
    assert_same(run(inputs, 3, 9), multi_scale_dcn(*inputs, 3, 9))


@pytest.mark.parametrize("field", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_wild_taps(field, value):
    projection, prior, s_max = random_inputs((2, 4, 5), 2, 3, 9)
    projection[:, ::2, ::2, 6 + field :: 4] = value
    assert_same(run((projection, prior, s_max), 2, 9), multi_scale_dcn(projection, prior, s_max, 2, 9))


@pytest.mark.parametrize(
    ("dtype", "onnx_dtype"), [("float16", TensorProto.FLOAT16), ("bfloat16", TensorProto.BFLOAT16)]
)
def test_half_precision(dtype, onnx_dtype):
    projection, prior, s_max = random_inputs((2, 7, 5), 2, 5, 9)
    stored = projection.astype(helper.tensor_dtype_to_np_dtype(onnx_dtype))
    got = run((projection, prior, s_max), 2, 9, dtype=onnx_dtype)
    assert_close(got, multi_scale_dcn(stored, prior, s_max, 2, 9), *TOLERANCES[dtype])


def test_the_chunk_does_not_show(monkeypatch):
    inputs = random_inputs((2, 5, 6), 3, 4, 9)
    want = run(inputs, 3, 9)
    row = 4 * 9 * 4 * 4
    for rows in (0, 1, 7, 45):
        monkeypatch.setattr(function, "CHUNK_BYTES", rows * row)
        session = ort.InferenceSession(model(3, 9).SerializeToString(), providers=["CPUExecutionProvider"])
        feeds = dict(zip(("projection_0", "prior", "s_max"), inputs, strict=True))
        np.testing.assert_array_equal(session.run(None, feeds)[0], want)


def test_two_nodes_share_the_body():
    first, prior, s_max = random_inputs((2, 3, 4), 2, 3, 9, seed=1)
    second, _, _ = random_inputs((2, 3, 4), 2, 3, 9, seed=2)
    feeds = {"projection_0": first, "projection_1": second, "prior": prior, "s_max": s_max}
    for got, projection in zip(_session(2, 9, nodes=2).run(None, feeds), (first, second), strict=True):
        assert_same(got, multi_scale_dcn(projection, prior, s_max, 2, 9))


def test_the_file_passes_onnx_checks_with_the_schema_and_without():
    # The schema is registered for the whole process, and any other test may do it first.
    for prepare in ("pass", "schema.register()"):
        code = f"""
import sys, onnx, onnx.shape_inference
from fdcn.plugins import schema
{prepare}
model = onnx.load_from_string(sys.stdin.buffer.read())
onnx.checker.check_model(model, full_check=True)
onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
"""
        serialized = model(6, 9).SerializeToString()
        done = subprocess.run([sys.executable, "-c", code], input=serialized, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def test_only_standard_operators():
    body = function.function(2, 9)
    assert [(o.domain, o.version) for o in body.opset_import] == [("", function.OPSET)]
    for node in body.node:
        assert not node.domain
        assert onnx.defs.has(node.op_type, max_inclusive_version=function.OPSET)


def test_the_node_is_what_the_schema_says():
    schema.register()
    body = function.function(2, 9)
    attributes = {*body.attribute, *(a.name for a in body.attribute_proto)}
    assert attributes == set(onnx.defs.get_schema(spec.NAME, spec.DOMAIN).attributes)
    assert (list(body.input), list(body.output)) == (list(spec.INPUTS), [spec.OUTPUT])
    assert (body.domain, body.name) == (spec.DOMAIN, spec.NAME)


_PEAK = """
import sys
from pathlib import Path
import onnxruntime as ort
import numpy as np

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

path, width, taps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
projection = np.random.default_rng(0).standard_normal((2, 64, 64, width), np.float32)
feeds = {"projection_0": projection, "prior": np.zeros((taps, 2), np.float32), "s_max": np.full((2, 2), 6, np.float32)}
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = status("VmRSS")
out = session.run(None, feeds)[0]
print((status("VmHWM") - before) / projection.nbytes, out.nbytes / projection.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize(("groups", "channels"), [(6, 64), (16, 72)], ids=["S", "XL"])
def test_memory_at_64x64(tmp_path, groups, channels):
    path = tmp_path / "operator.onnx"
    onnx.save(model(groups, 9), path)
    words = [path, spec.projection_width(groups, channels, 9), 9]
    done = subprocess.run([sys.executable, "-c", _PEAK, *map(str, words)], capture_output=True, text=True, check=True)
    peak, output = map(float, done.stdout.split())
    assert output <= peak < MEMORY, f"{peak:.2f} times the projection"
