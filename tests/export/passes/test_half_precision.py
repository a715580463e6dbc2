"""Half precision with float32 islands: the types in the graph, and its velocities against float32's."""

import math

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from apart import run_apart
from onnx import numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from fdcn.errors import FdcnError
from fdcn.export.passes.half_precision import half_precision
from fdcn.export.passes.strip_operator import strip_operator
from fdcn.export.write import write
from fdcn.plugins import spec
from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.pipeline import Pipeline

FLOAT, FLOAT16, BFLOAT16 = ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16
COSINE = {FLOAT16: 0.9999, BFLOAT16: 0.999}


def graph(bundle, name):
    return ir.load(bundle.graph(bundle.manifest.graphs[name]))


def halved(bundle, name, dtype):
    model = graph(bundle, name)
    assert half_precision(model, dtype)
    return model


def session(model, folder, name):
    ir.save(model, folder / f"{name}.onnx", external_data=f"{name}.onnx.data")
    options = ort.SessionOptions()
    # As written: what is rounded where is the subject.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])


def inferred(model, folder):
    """(node, types of its inputs, types of its outputs), as onnx infers them without the types in the file."""
    write(model, folder, "typed")
    proto = onnx.load(folder / "typed.onnx", load_external_data=False)
    del proto.graph.value_info[:]
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True, data_prop=True)
    values = [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    return [(n, [types[x] for x in n.input], [types[x] for x in n.output]) for n in proto.graph.node]


@pytest.mark.parametrize("dtype", COSINE)
def test_types_of_the_denoiser(tiny_bundle, tmp_path, dtype):
    model = halved(tiny_bundle, "denoiser", dtype)
    weights = set(model.graph.initializers)
    operators, sums = 0, {FLOAT: 0, dtype: 0}
    for node, inputs, outputs in inferred(model, tmp_path):
        if node.op_type == spec.NAME:
            operators += 1
            assert (inputs, outputs) == ([dtype, FLOAT, FLOAT], [dtype])
        elif node.op_type in ("MatMul", "Sigmoid"):
            assert {*inputs, *outputs} == {dtype}
        elif node.op_type in ("Pow", "ReduceMean", "Sqrt", "LayerNormalization"):
            assert (inputs[0], outputs) == (FLOAT, [FLOAT])
        elif node.op_type == "Add" and weights.isdisjoint(node.input):
            assert outputs == [FLOAT]  # the residual stream, and what shifts it
            sums[FLOAT] += 1
        elif node.op_type == "Add" and any(".bias" in name for name in node.input):
            assert outputs == [dtype]
            sums[dtype] += 1
    blocks = tiny_bundle.manifest.model.blocks
    assert operators == blocks
    # Two residual sums and two shifts a block, and the head's shift; a bias after two of a block's products, and at
    # both ends.
    assert sums == {FLOAT: 4 * blocks + 1, dtype: 2 * blocks + 2}
    # Two islands a block, each with one cast in and one out; and the graph's edges.
    casts = [node for node in model.graph if node.op_type == "Cast"]
    assert len(casts) == 4 * blocks + 4
    assert {value.dtype for value in (*model.graph.inputs, *model.graph.outputs)} == {FLOAT}


@pytest.mark.parametrize("dtype", COSINE)
def test_types_of_the_conditioner(tiny_bundle, tmp_path, dtype):
    model = halved(tiny_bundle, "conditioner", dtype)
    for node, inputs, outputs in inferred(model, tmp_path):
        if node.op_type == "MatMul":
            assert {*inputs, *outputs} == {dtype}
        elif node.op_type in ("Mul", "Cos", "Sin", "Concat", "Gather") and "silu" not in node.output[0]:
            assert outputs == [FLOAT]
    assert [value.name for value in model.graph.outputs] == ["modulation", "final"]
    assert {value.dtype for value in model.graph.outputs} == {FLOAT}


def test_nothing_to_gain(shipped_bundle):
    assert not half_precision(graph(shipped_bundle, "decoder"), FLOAT16)  # identity


class Compared(OnnxRuntime):
    """Samples in float32, and at each step asks the half-precision graphs for the same: their cosines."""

    def __init__(self, bundle, folder, dtype):
        super().__init__(bundle, native=False)
        self.cosines = []
        self._half, self._conditions = {}, {}
        for name in ("conditioner", "denoiser"):
            model = halved(bundle, name, dtype)
            if dtype == BFLOAT16:
                emulate(model, dtype)  # ONNX Runtime multiplies no bfloat16 matrices on a CPU
            self._half[name] = session(model, folder, name)

    def condition(self, t, label):
        want = super().condition(t, label)
        got = self._half["conditioner"].run(None, {"t": t, "label": label})
        self._conditions.update({row.tobytes(): (m, f) for row, m, f in zip(want[1], *got, strict=True)})
        return want

    def denoise(self, graph, latent, modulation, final, s_max):
        want = super().denoise(graph, latent, modulation, final, s_max)
        modulation, final = map(np.stack, zip(*(self._conditions[row.tobytes()] for row in final), strict=True))
        feeds = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        self.cosines.append(cosine(self._half[graph].run(None, feeds)[0], want))
        return want


@pytest.mark.parametrize("dtype", COSINE)
def test_velocity_of_every_step(shipped_bundle, tmp_path, dtype):
    backend = Compared(shipped_bundle, tmp_path, dtype)
    for size in ((28, 28), (20, 44)):
        Pipeline(shipped_bundle, backend)([0, 9], size=size, steps=5)
    assert len(backend.cosines) == 10
    assert min(backend.cosines) >= COSINE[dtype]


@pytest.mark.parametrize("dtype", COSINE)
def test_velocity_of_latents(tiny_bundle, tmp_path, dtype):
    rng = np.random.default_rng(0)
    backend = Compared(tiny_bundle, tmp_path, dtype)
    modulation, final = backend.condition(np.float32([0.3]), np.int64([0, 3, 10]))
    # A random network with long reaches is chaotic: any rounding moves taps over the operator's discontinuity at -1.
    s_max = np.full((3, tiny_bundle.manifest.model.blocks, 2), 0.5, np.float32)
    for height, width in ((8, 8), (8, 20), (30, 6)):
        latent = rng.standard_normal((3, 4, height, width)).astype(np.float32)
        backend.denoise("denoiser", latent, modulation, final, s_max)
    assert min(backend.cosines) >= COSINE[dtype]


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return a @ b / math.sqrt((a @ a) * (b @ b))


def emulate(model, dtype):
    """Compute in float32 and round to `dtype` wherever the graph makes a value of it."""
    for weight in model.graph.initializers.values():
        if weight.dtype == dtype:
            weight.const_value = ir.tensor(weight.const_value.numpy().astype(np.float32), name=weight.name)
            weight.type = ir.TensorType(FLOAT)
    for node in list(model.graph):
        for value in node.outputs:
            if value.dtype == dtype:
                uses, last, rounded = value.uses(), node, value
                if node.op_type != "Cast":
                    value.type = ir.TensorType(FLOAT)
                    last = cast(last, value, dtype)
                    rounded = last.outputs[0]
                back = cast(last, rounded, FLOAT).outputs[0]
                for use in uses:
                    use.node.replace_input_with(use.idx, back)


def cast(after, value, to):
    node = ir.node("Cast", [value], {"to": to})
    node.outputs[0].name, node.outputs[0].type = f"{value.name}_as_{to.name}", ir.TensorType(to)
    after.graph.insert_after(after, node)
    return node


@pytest.mark.parametrize("name", ["conditioner", "denoiser"])
def test_a_second_run_changes_nothing(tiny_bundle, name):
    model = halved(tiny_bundle, name, FLOAT16)
    before = ir.to_proto(model).graph.node
    assert not half_precision(model, FLOAT16)
    assert ir.to_proto(model).graph.node == before


def test_stripped_or_not_is_the_same(tiny_bundle):
    kept, stripped = graph(tiny_bundle, "denoiser"), graph(tiny_bundle, "denoiser")
    strip_operator(stripped)
    for model in (kept, stripped):
        half_precision(model, BFLOAT16)
    assert ir.to_proto(kept).graph.node == ir.to_proto(stripped).graph.node


def test_weights_are_converted_one_at_a_time(tiny_bundle):
    model = halved(tiny_bundle, "denoiser", FLOAT16)
    weights = [v for v in model.graph.initializers.values() if v.dtype == FLOAT16]
    assert len(weights) == 57 + 24  # every product's weight and every bias
    assert all(isinstance(v.const_value, ir.LazyTensor) and not v.const_value.cache for v in weights)
    original = graph(tiny_bundle, "denoiser").graph.initializers["head.weight"].const_value.numpy()
    found = model.graph.initializers["head.weight"].const_value
    np.testing.assert_array_equal(found.numpy(), original.astype(np.float16))


def small(text, **weights):
    """A model of one graph in onnx's text form, its types inferred."""
    imports = f'["": 20, "{spec.DOMAIN}": {spec.VERSION}]'
    proto = onnx.parser.parse_model(f"<ir_version: 10, opset_import: {imports}> g {text}")
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items())
    model = ir.from_proto(proto)
    ShapeInferencePass()(model)
    return model


def types(model):
    return {value.name: value.dtype for node in model.graph for value in node.outputs}


CONVERT = """
import sys
import onnx_ir as ir
from fdcn.bench.memory import peak_resident
from fdcn.export.passes.half_precision import half_precision
before = peak_resident()
model = ir.load(sys.argv[1])
half_precision(model, ir.DataType.FLOAT16)
ir.save(model, sys.argv[2], external_data="half.data")
print(peak_resident() - before)
"""


def test_memory(tmp_path):
    """The file as it is mapped, and little more: one weight in half, and the bytes that are written of it."""
    count, shape = 8, (2048, 4096)
    nodes = " ".join(f"x{i + 1} = MatMul(x{i}, w{i})" for i in range(count))
    weights = {f"w{i}": np.ones(shape[:: 1 - 2 * (i % 2)], np.float32) for i in range(count)}
    model = small(f"(float[B, 2048] x0) => (float[B, 2048] x{count}) {{ {nodes} }}", **weights)
    ir.save(model, tmp_path / "float.onnx", external_data="float.data")
    grown = run_apart(CONVERT, tmp_path / "float.onnx", tmp_path / "half.onnx")
    assert (tmp_path / "half.data").stat().st_size == count * 2 * math.prod(shape)
    assert grown < 1.25 * (tmp_path / "float.data").stat().st_size


PRODUCT = "(float[B, 8] x) => (float[B, 8] y) { y = MatMul(x, weight) }"


@pytest.mark.parametrize(
    ("dtype", "value", "says"),
    [
        (FLOAT16, 65536, "weight holds values from 0 to 65536, and float16 holds up to 65504: build with --bf16"),
        (FLOAT16, -1e9, "from -1e\\+09 to 0"),
        (FLOAT16, np.nan, "from nan to nan"),
        (BFLOAT16, 3.4e38, "bfloat16 holds up to 3.38953e\\+38: build in float32"),
    ],
)
def test_a_weight_out_of_range(dtype, value, says):
    weight = np.zeros((8, 8), np.float32)
    weight[3, 4] = value
    with pytest.raises(FdcnError, match=says):
        half_precision(small(PRODUCT, weight=weight), dtype)


def test_the_ends_of_the_range_are_in_it():
    model = small(PRODUCT, weight=np.full((8, 8), 65504, np.float32))
    assert half_precision(model, FLOAT16)
    assert np.isfinite(model.graph.initializers["weight"].const_value.numpy()).all()


def test_a_weight_that_an_island_shares():
    nodes = "a = MatMul(x, w) b = MatMul(x, w) s = Add(x, w) c = Add(a, b) y = Mul(c, s)"
    model = small(f"(float[8, 8] x) => (float[8, 8] y) {{ {nodes} }}", w=np.eye(8, dtype=np.float32))
    assert half_precision(model, FLOAT16)
    assert {name: v.dtype for name, v in model.graph.initializers.items()} == {"w": FLOAT, "w_float16": FLOAT16}
    found = types(model)
    assert (found["a"], found["b"], found["s"], found["c"]) == (FLOAT16, FLOAT16, FLOAT, FLOAT)


QUANTISED = """(float[B, 8] x) => (float[B, 8] y) {
    xq = QuantizeLinear(x, x_scale, zero)
    xd = DequantizeLinear(xq, x_scale, zero)
    wd = DequantizeLinear <axis = 1> (w, w_scale, w_zero)
    h = MatMul(xd, wd)
    hb = Add(h, b)
    hq = QuantizeLinear(hb, h_scale, zero)
    hd = DequantizeLinear(hq, h_scale, zero)
    vd = DequantizeLinear <axis = 1> (v, w_scale, w_zero)
    y = MatMul(hd, vd)
}"""


def quantised(stored, scale=0.05):
    rng = np.random.default_rng(0)
    w, v = (np.rint(20 * rng.standard_normal((8, 8))).astype(stored) for _ in range(2))
    return small(
        QUANTISED,
        zero=np.zeros((), stored),
        x_scale=np.float32(0.02),
        w=w,
        v=v,
        w_scale=np.full(8, scale, np.float32),
        w_zero=np.zeros(8, stored),
        b=rng.standard_normal(8).astype(np.float32),
        h_scale=np.float32(0.3),
    )


@pytest.mark.parametrize("stored", [np.int8, onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.FLOAT8E4M3FN)])
@pytest.mark.parametrize("dtype", COSINE)
def test_quantised_products(tmp_path, stored, dtype):
    model = quantised(stored)
    x = np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)
    (want,) = session(model, tmp_path, "float").run(None, {"x": x})
    assert half_precision(model, dtype)
    assert not half_precision(model, dtype)
    operators = [node.op_type for node, _, _ in inferred(model, tmp_path)]
    # No cast between a product and what dequantises for it: TensorRT joins the two.
    assert operators.count("Cast") == 1
    assert operators[-1] == "Cast"
    found = types(model)
    assert {found[name] for name in ("xd", "wd", "h", "hb", "hd", "vd")} == {dtype}
    scales = [n.inputs[1].dtype for n in model.graph if n.op_type == "QuantizeLinear"]
    assert scales == [FLOAT, dtype]  # as what each of them reads
    if dtype == FLOAT16:
        (got,) = session(model, tmp_path, "half").run(None, {"x": x})
        assert cosine(got, want) > 0.9999


def test_a_scale_that_half_has_no_number_for():
    with pytest.raises(
        FdcnError, match="the scale w_scale goes down to 1e-09, which is 0 in float16: build with --bf16"
    ):
        half_precision(quantised(np.int8, 1e-9), FLOAT16)


@pytest.mark.parametrize(("dtype", "becomes"), [(FLOAT16, FLOAT16), (BFLOAT16, FLOAT)])
def test_a_convolution_follows_its_opset(dtype, becomes):
    text = "(float[B, 4, H, W] x) => (float[B, 4, H, W] y) { c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu(c) }"
    model = small(text, w=np.ones((4, 4, 3, 3), np.float32))
    assert half_precision(model, dtype) is (becomes == dtype)
    assert types(model)["c"] == becomes
    assert model.graph.outputs[0].name == "y"
    assert model.graph.outputs[0].dtype == FLOAT


OPERATOR = """(float[N, H, W, 82] x, float[N, 2] s_max) => (float[N, H, W, 10] y) {
    xq = QuantizeLinear(x, scale, zero)
    xd = DequantizeLinear(xq, scale, zero)
    y = fdcn.MultiScaleDCN <groups = 2, taps = 9> (%s, prior, s_max)
}"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OPERATOR % "x", None),
        (OPERATOR % "xd", "quantised projection"),
        (
            "(float[B, 8] x, bool c) => (float[B, 8] y) { y = If (c) <then_branch = a () => (float[B, 8] z) "
            "{ z = Neg(x) }, else_branch = b () => (float[B, 8] z) { z = Abs(x) }> }",
            "subgraphs",
        ),
        ("(float[B, 8] x) => (float[B, 8] y) { h = Cast <to = 16> (x) y = Cast <to = 1> (h) }", "another half type"),
    ],
)
def test_graphs_that_are_refused(text, says):
    weights = {"prior": np.zeros((9, 2), np.float32), "scale": np.float32(0.1), "zero": np.int8(0)}
    model = small(text, **{name: value for name, value in weights.items() if name in text})
    if says is None:
        assert half_precision(model, FLOAT16)
    else:
        with pytest.raises(ValueError, match=says):
            half_precision(model, FLOAT16)


def test_only_half_types():
    with pytest.raises(ValueError, match="no half precision"):
        half_precision(small(PRODUCT, weight=np.eye(8, dtype=np.float32)), FLOAT)


def test_a_graph_without_types_is_refused():
    model = small(PRODUCT, weight=np.eye(8, dtype=np.float32))
    model.graph.inputs[0].type = None
    with pytest.raises(TypeError, match="x has no type"):
        half_precision(model, FLOAT16)
