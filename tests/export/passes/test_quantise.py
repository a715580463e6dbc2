"""Q/DQ pairs in a graph: what is in the file, what quantising may change of its outputs, and what is refused."""

import dataclasses

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from apart import run_apart
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime import quantization
from product_graphs import LINEAR, Builder, checked, evaluate, layers, prepared, run, some_recipe

from fdcn.bundle import QUANTISED
from fdcn.errors import FdcnError
from fdcn.export.passes import quantise as module
from fdcn.export.passes.half_precision import half_precision
from fdcn.export.passes.quantise import quantise
from fdcn.export.products import activations, products
from fdcn.export.recipe import LARGEST, Activation, Recipe
from fdcn.export.scales import STORED, scale
from fdcn.plugins import spec
from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.pipeline import Pipeline

LAYERS = layers(LINEAR)
SEEDS = st.integers(0, 2**32 - 1)


def product(weight, rows=5, kind="MatMul", **attributes):
    """A graph of x [rows, K] by one weight, named p.weight."""
    k, n = weight.shape if not attributes else weight.shape[::-1]
    node = onnx.helper.make_node(kind, ["x", "p.weight"], ["y"], name="multiply", **attributes)
    floats = onnx.TensorProto.FLOAT
    edges = [onnx.helper.make_tensor_value_info(*edge) for edge in (("x", floats, ["b", k]), ("y", floats, ["b", n]))]
    weights = [onnx.numpy_helper.from_array(weight, "p.weight")]
    graph = onnx.helper.make_graph([node], "g", edges[:1], edges[1:], weights)
    return ir.from_proto(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10))


def one(precision, largest, names=("p",), migration=None, until=(1.0,)):
    activation = Activation(list(names), [largest] * len(until), migration)
    return Recipe(precision, "of the test", list(until), [activation], {}, {})


@pytest.mark.parametrize("precision", QUANTISED)
@settings(max_examples=30, deadline=None)
@given(LAYERS, st.sampled_from([2, 3]), SEEDS, st.sampled_from([0.5, 1.0, 2.0]))
def test_the_error_is_within_its_bound(precision, found, rank, seed, margin):
    """Also where values are clipped (a margin below 1): the bound knows it. The second of two step groups is taken."""
    built = Builder(found, rank, seed)
    model = built.model()
    recipe = some_recipe(model, built.feeds, precision, seed, margin, groups=2)
    bounds = evaluate(model, built.feeds, recipe, group=1)
    assert quantise(model, recipe, 1) == len(recipe.quantised())
    for name, array in run(model, built.feeds).items():
        want, bound = bounds[name]
        np.testing.assert_array_less(np.abs(array - want), 1.001 * bound + 1e-6)


@settings(max_examples=25, deadline=None)
@given(LAYERS, st.sampled_from([2, 3]), SEEDS)
def test_tiny_scales_give_the_answer_of_float32(found, rank, seed):
    """The same nodes with codes of 16 bits, which opset 21 has: all scales, and so the bound, are 258 times finer."""
    built = Builder(found, rank, seed)
    model = built.model(opset=21)
    want, rounding = run(model, built.feeds), evaluate(model, built.feeds)
    coarse = evaluate(model, built.feeds, some_recipe(model, built.feeds, "int8", seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LARGEST, "int8", 32767.0)
        patch.setitem(STORED, "int8", np.dtype(np.int16))
        patch.setitem(module._TYPES, "int8", ir.DataType.INT16)
        recipe = some_recipe(model, built.feeds, "int8", seed)
        fine = evaluate(model, built.feeds, recipe)
        quantise(model, recipe)
        got = run(model, built.feeds)
    for name, array in got.items():
        bound = fine[name][1]
        np.testing.assert_array_less(np.abs(array - want[name]), 1.001 * bound + 1e-6)
        np.testing.assert_array_less(bound, coarse[name][1] / 100 + 2 * rounding[name][1] + 1e-6)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(QUANTISED), st.booleans(), st.integers(1, 40), st.integers(1, 40), SEEDS)
def test_what_the_codes_hold_exactly_gives_the_exact_answer(precision, transposed, k, n, seed):
    rng = np.random.default_rng(seed)
    top = LARGEST[precision]
    x, w = (on_grid(rng, shape, precision) for shape in ((5, k), (k, n)))
    x[0, 0] = top
    w[0] = top
    x, w = x * np.float32(2.0**-5), w * np.exp2(rng.integers(-8, 3, n)).astype(np.float32)
    model = product(w.T.copy(), kind="Gemm", transB=1) if transposed else product(w)
    assert quantise(model, one(precision, top * 2.0**-5)) == 1
    got = run(model, {"x": x})["y"]
    want = x.astype(np.float64) @ w.astype(np.float64)  # exact: no sum needs more than 53 bits
    magnitude = np.abs(x).astype(np.float64) @ np.abs(w)
    if precision == "int8":  # sums of integers below 2²⁴
        np.testing.assert_array_equal(got, want.astype(np.float32))
    assert (np.abs(got - want) <= k * 2.0**-23 * magnitude).all()


def on_grid(rng, shape, precision):
    if precision == "int8":
        return rng.integers(-127, 128, shape).astype(np.float32)
    codes = rng.integers(0, 256, shape).astype(np.uint8)
    return np.nan_to_num(codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32), nan=1.0)


@pytest.mark.parametrize("precision", QUANTISED)
def test_what_the_file_holds(precision):
    rng = np.random.default_rng(0)
    w = rng.standard_normal((6, 4)).astype(np.float32)
    w[:, 2] = 0  # its scale could be anything
    model = product(w)
    quantise(model, one(precision, 3.0))
    checked(model)
    assert [(node.op_type, node.name) for node in model.graph] == [
        ("QuantizeLinear", "p.input_quantised"),
        ("DequantizeLinear", "p.input_dequantised"),
        ("DequantizeLinear", "p.weight"),
        ("MatMul", "multiply"),
    ]
    arrays = {name: value.const_value.numpy() for name, value in model.graph.initializers.items()}
    stored = STORED[precision]
    assert {name: (a.dtype, a.shape) for name, a in arrays.items()} == {
        "p.input_scale": (np.float32, ()),
        "p.input_zero": (stored, ()),
        "p.weight_codes": (stored, (6, 4)),
        "p.weight_scale": (np.float32, (4,)),
        "p.weight_zero": (stored, (4,)),
    }
    assert not arrays["p.input_zero"].astype(np.float32).any()
    assert not arrays["p.weight_zero"].astype(np.float32).any()
    assert arrays["p.input_scale"] == scale(3.0, precision)
    np.testing.assert_array_equal(arrays["p.weight_scale"], scale(np.abs(w).max(axis=0), precision))
    assert arrays["p.weight_scale"][2] == 1
    largest = np.abs(arrays["p.weight_codes"].astype(np.float32)).max(axis=0)
    assert largest[2] == 0
    assert (np.delete(largest, 2) >= 0.99 * LARGEST[precision]).all() or precision == "fp8"


@pytest.mark.parametrize("precision", QUANTISED)
def test_what_is_beyond_the_range_saturates(precision):
    top = LARGEST[precision]
    model = product(np.float32(top) * np.eye(4, dtype=np.float32))
    quantise(model, one(precision, top))
    x = np.float32([[1e6, -1e6, 449, -3e38]])
    low = -128 if precision == "int8" else -448
    np.testing.assert_array_equal(run(model, {"x": x})["y"], np.where(x > 0, top, low) * np.float32([[top]]))


class Rows(quantization.CalibrationDataReader):
    def __init__(self, x):
        self.batches = iter([{"x": x}])

    def get_next(self):
        return next(self.batches, None)


def test_the_integers_are_those_of_onnx_runtimes_quantiser(tmp_path):
    """Its scales for the same ranges; its codes of the weights, where float16 has their scales."""
    rng = np.random.default_rng(0)
    w = rng.uniform(-0.2, 0.2, (16, 12)).astype(np.float32)
    w[0] = 127 * np.exp2(rng.integers(-9, -6, 12))  # the largest of each column
    x = rng.standard_normal((64, 16)).astype(np.float32)
    model = product(w)
    onnx.save(ir.to_proto(model), tmp_path / "float.onnx")
    quantization.quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "theirs.onnx",
        Rows(x),
        per_channel=True,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "DedicatedQDQPair": True},
    )
    theirs = onnx.load(tmp_path / "theirs.onnx")
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in theirs.graph.initializer}
    quantise(model, one("int8", float(np.abs(x).max())))
    ours = {name: value.const_value.numpy() for name, value in model.graph.initializers.items()}
    np.testing.assert_array_equal(ours["p.weight_scale"], arrays["p.weight_scale"])
    np.testing.assert_array_equal(ours["p.weight_codes"], arrays["p.weight_quantized"])
    ratio = ours["p.input_scale"] / arrays["x_scale"]
    assert 1 <= ratio <= 1 + 2.0**-10  # up to float16's next number
    got, want = run(model, {"x": x})["y"], run(ir.from_proto(theirs), {"x": x})["y"]
    np.testing.assert_allclose(got, want, rtol=0, atol=0.05 * np.abs(want).max(), equal_nan=False)


def denoiser(bundle):
    return ir.external_data.load_to_model(ir.load(bundle.graph(bundle.manifest.graphs["denoiser"])))


class Recorder(OnnxRuntime):
    """Keeps what the denoiser is given."""

    def __init__(self, bundle):
        super().__init__(bundle, native=False)
        self.feeds = []

    def denoise(self, graph, latent, modulation, final, s_max):
        feeds = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        self.feeds.append({name: array.copy() for name, array in feeds.items()})
        return super().denoise(graph, latent, modulation, final, s_max)


@pytest.fixture(scope="module")
def evaluations(shipped_bundle):
    """What the shipped denoiser is given on a trajectory of two pictures."""
    backend = Recorder(shipped_bundle)
    Pipeline(shipped_bundle, backend)([2, 7], steps=5, seeds=[1, 2])
    return backend.feeds


@pytest.fixture(scope="module")
def measured(shipped_bundle, evaluations):
    """The largest magnitude of every channel [K] of what its products read there, by the first product's name."""
    model = denoiser(shipped_bundle)
    readers = {value.name: found[0].name for value, found in activations(products(model)).items()}
    session = prepared(model, inside=[*readers])
    largest = {name: np.float32(0) for name in readers.values()}
    for feeds in evaluations:
        for value, name in readers.items():
            (array,) = session.run([value], feeds)
            largest[name] = np.maximum(largest[name], np.abs(array).reshape(-1, array.shape[-1]).max(axis=0))
    return largest


def denoiser_recipe(bundle, measured, precision, migrated):
    """All but the first and the last product, by their largest magnitude; SmoothQuant's factors with α = ½."""
    found = products(denoiser(bundle))
    chosen = []
    for readers in activations(found[1:-1]).values():
        x = measured[readers[0].name]
        rows = np.max([np.abs(product.values()).max(axis=1) for product in readers], axis=0)
        factors = np.sqrt(np.maximum(x, 1e-4) / np.maximum(rows, 1e-4)) if migrated else np.ones(len(x))
        names, largest = [product.name for product in readers], float((x / factors).max())
        chosen.append(Activation(names, [largest], factors.tolist() if migrated else None))
    return Recipe(precision, "of the test", [1.0], chosen, {found[0].name: "first", found[-1].name: "last"}, {})


@pytest.mark.parametrize(("precision", "migrated"), [("int8", False), ("int8", True), ("fp8", True)])
def test_the_denoiser(shipped_bundle, evaluations, measured, precision, migrated):
    """The cosine of every second step of its trajectory; what it has quantised, and what not."""
    float32, model = prepared(denoiser(shipped_bundle)), denoiser(shipped_bundle)
    assert quantise(model, denoiser_recipe(shipped_bundle, measured, precision, migrated)) == 55
    quantised = prepared(model)
    for feeds in evaluations[::2]:
        want, got = (session.run(None, feeds)[0].astype(np.float64).ravel() for session in (float32, quantised))
        assert got @ want / np.sqrt((got @ got) * (want @ want)) >= 0.99
    assert [product.name for product in products(model)] == ["embed", "head"]
    for node in model.graph:
        if node.op_type == spec.NAME:  # never around the operator
            assert node.inputs[0].producer().op_type == "Add"
            assert {use.node.op_type for use in node.outputs[0].uses()} == {"QuantizeLinear"}


def test_every_product_of_the_denoiser_becomes_an_integer_one(shipped_bundle, measured, tmp_path):
    """In ONNX Runtime's own optimised graph: pairs or constants that products share would leave some in float32."""
    model = denoiser(shipped_bundle)
    quantise(model, denoiser_recipe(shipped_bundle, measured, "int8", True))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(checked(model), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert (kinds.count("MatMulIntegerToFloat"), kinds.count("MatMul")) == (55, 2)


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16])
@pytest.mark.parametrize("precision", QUANTISED)
def test_half_precision_follows(shipped_bundle, measured, precision, dtype):
    """What was to be left in float32 becomes half, codes stay, and scales are in float16 what they were in float32."""
    model = denoiser(shipped_bundle)
    quantise(model, denoiser_recipe(shipped_bundle, measured, precision, True))
    pairs = {node.name: node for node in model.graph if node.op_type == "DequantizeLinear"}
    before = {name: node.inputs[1].const_value.numpy() for name, node in pairs.items()}
    half_precision(model, dtype)
    checked(model)
    assert len(pairs) == 110
    for name, node in pairs.items():
        assert node.outputs[0].dtype == dtype
        assert node.inputs[0].dtype == (ir.DataType.INT8 if precision == "int8" else ir.DataType.FLOAT8E4M3FN)
        if dtype == ir.DataType.FLOAT16:
            np.testing.assert_array_equal(node.inputs[1].const_value.numpy().astype(np.float32), before[name])


CONVERT = """
import sys
import onnx_ir as ir
from fdcn.bench.memory import peak_resident
from fdcn.export.passes.quantise import quantise
from fdcn.export.recipe import Activation, Recipe
before = peak_resident()
model = ir.load(sys.argv[1])
found = [Activation([f"w{i}"], [1.0], [2.0] * (1024 if i % 2 == 0 else 2048)) for i in range(8)]
quantise(model, Recipe("int8", "", [1.0], found, {}, {}))
ir.save(model, sys.argv[2], external_data="codes.data")
print(peak_resident() - before)
"""


def test_memory(tmp_path):
    """The float32 file as it is mapped, and of one weight some copies, two in float64; the codes take a quarter."""
    nodes = " ".join(f"x{i + 1} = MatMul(x{i}, w{i})" for i in range(8))
    text = f'<ir_version: 10, opset_import: ["": 20]> g (float[B, 1024] x0) => (float[B, 1024] x8) {{ {nodes} }}'
    proto = onnx.parser.parse_model(text)
    weights = [np.ones((1024, 2048)[:: 1 - 2 * (i % 2)], np.float32) for i in range(8)]
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights))
    proto = onnx.shape_inference.infer_shapes(proto)
    ir.save(ir.from_proto(proto), tmp_path / "float.onnx", external_data="float.data")
    grown = run_apart(CONVERT, tmp_path / "float.onnx", tmp_path / "codes.onnx")
    full = (tmp_path / "float.data").stat().st_size
    assert (tmp_path / "codes.data").stat().st_size < 0.26 * full
    assert grown < full + 7 * weights[0].nbytes


BAD = {
    "it says that there is a product q, and": {"names": ("p", "q")},
    "p has 1 ranges, and there are 2 step groups": {"groups": 2},
    r"what p reads has the range \[0.0\]": {"largest": 0.0},
    r"what p reads has the range \[-1.0\]": {"largest": -1.0},
    r"what p reads has the range \[inf\]": {"largest": np.inf},
    r"what p reads has the range \[nan\]": {"largest": np.nan},
    r"what p reads has the range \[1e\+39\]": {"largest": 1e39},
    "the migration of p has 3 channels; it reads 4": {"migration": [1.0, 1.0, 1.0]},
    "the migration of p has factors that are not positive": {"migration": [1.0, 1.0, 0.0, 1.0]},
    "factors that are not positive": {"migration": [1.0, 1.0, np.nan, 1.0]},
    "what p reads is quantised twice": {"names": ("p", "p")},
}


@pytest.mark.parametrize("says", BAD)
def test_recipes_that_are_refused(says):
    options = {"names": ("p",), "largest": 1.0, "migration": None, "groups": 1} | BAD[says]
    groups = options.pop("groups")
    recipe = dataclasses.replace(one("int8", **options), until=[1.0] * groups)
    model = product(np.eye(4, dtype=np.float32))
    before = ir.to_proto(model)
    with pytest.raises(FdcnError, match=f"{says}.*; run fdcn calibrate again"):
        quantise(model, recipe)
    assert ir.to_proto(model) == before


def test_a_recipe_that_keeps_what_is_not_there():
    recipe = dataclasses.replace(one("int8", 1.0), kept={"head": "last"})
    with pytest.raises(FdcnError, match="there is a product head"):
        quantise(product(np.eye(4, dtype=np.float32)), recipe)


def test_products_that_do_not_read_one_value():
    built = Builder([("product", 4), ("product", 8)], 2, 0)
    with pytest.raises(FdcnError, match="p0 and p2 read one value, and they do not"):
        quantise(built.model(), one("int8", 1.0, ("p0", "p2")))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(bad):
    weight = np.eye(4, dtype=np.float32)
    weight[1, 2] = bad
    with pytest.raises(FdcnError, match="the weight of p holds values that are not finite; export a sound checkpoint"):
        quantise(product(weight), one("int8", 1.0))


def test_a_second_run_is_refused():
    model = product(np.eye(4, dtype=np.float32))
    quantise(model, one("int8", 1.0))
    with pytest.raises(FdcnError, match="there is a product p, and the denoiser has none of that name"):
        quantise(model, one("int8", 1.0))
