"""TensorRT engines of the shipped checkpoint, built by TensorRT-RTX with no GPU."""

import dataclasses
import re
import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest

from fdcn.bundle import MANIFEST, Bundle, engine_key
from fdcn.errors import FdcnError
from fdcn.export import tensorrt_graphs, tensorrt_worker
from fdcn.export.profiles import parse_profile
from fdcn.export.tensorrt_engine import build
from fdcn.export.tensorrt_target import Options
from fdcn.plugins import flavours, libraries, tensorrt_plugin

BLOCKS, PRODUCTS = 11, 5 * 11 + 2
"""Of the shipped network: its blocks, and its matrix products: projection, out, w1, w3, w2 in each; patches, head."""
NAMES = {"float32": "float", "float16": "half", "bfloat16": "bf16"}
"""What a plan calls the types."""


@pytest.fixture(scope="module")
def plugin_library():
    try:
        return libraries.build("tensorrt")
    except FdcnError as error:
        pytest.skip(f"no engine was built with the plugin library: {error}")


@pytest.fixture
def bundle(shipped_bundle, tmp_path):
    """A copy of the shipped bundle, without engines."""
    shutil.copytree(shipped_bundle.path, tmp_path / "model")
    return Bundle.open(tmp_path / "model")


@pytest.fixture(scope="module")
def built(rtx, shipped_bundle, tmp_path_factory):
    """One engine in float16. Read only."""
    path = tmp_path_factory.mktemp("built") / "model"
    shutil.copytree(shipped_bundle.path, path)
    return build(Bundle.open(path), Options("float16", ("sm_86",), plugin="python"))


def plan_operators(path: Path) -> Counter:
    """Types of each plugin layer in an RTX plan, as (outputs, inputs): text that the plan carries, undocumented."""
    text = path.read_bytes()
    types = {m[1]: m[2].decode() for m in re.finditer(rb'tensor=\{[^\n]*? name="([^"]+)"[^\n]*? type=(\w+) \}', text)}
    layers = re.finditer(rb'custom_layer=\{ name="[^"]+" output=\{([^}]*)\} input=\{([^}]*)\}', text)

    def named(part: bytes) -> tuple[str, ...]:
        return tuple(types[name] for name in re.findall(rb'"([^"]+)"', part))

    return Counter((named(layer[1]), named(layer[2])) for layer in layers)


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("plugin", ["library", "python", pytest.param("none", marks=pytest.mark.large)])
def test_engines_of_the_shipped_checkpoint(rtx, bundle, request, plugin, precision):
    if plugin == "library":
        library = request.getfixturevalue("plugin_library")
    done = []
    options = Options(precision, ("sm_86", "sm_89"), plugin=plugin)
    engine = build(bundle, options, lambda *step: done.append(step)).engine
    opened = Bundle.open(bundle.path)
    assert opened.manifest.engines == [engine]
    assert set(engine.graphs) == {"conditioner", "denoiser", "decoder"}
    operators = plan_operators(opened.graph(engine.graphs["denoiser"]))
    half = NAMES[precision]
    assert operators == ({} if plugin == "none" else {((half,), (half, "float", "float")): BLOCKS})
    target = engine.target
    assert (target.flavour, target.version, target.compute) == ("tensorrt-rtx", rtx.version, ["sm_86", "sm_89"])
    assert (target.precision, target.plugin.kind) == (precision, plugin)
    assert list(map(str, target.profiles)) == ["8x8x1:28x28x2:84x84x8"]
    assert (target.plugin.sha256 is None) == (plugin == "none")
    if plugin == "library":
        assert opened.file(target.plugin.file).read_bytes() == library.read_bytes()
    assert done == sorted(done)
    assert done[-1] == (300, 300)


@pytest.mark.parametrize("precision", NAMES)
@pytest.mark.parametrize("plugin", [True, False], ids=["plugin", "none"])
def test_parsed_networks(rtx, shipped_bundle, tmp_path, plugin, precision):
    if plugin:
        tensorrt_plugin.register(rtx, "python")
    source = shipped_bundle.graph(shipped_bundle.manifest.graphs["denoiser"])
    prepared = tensorrt_graphs.prepare(source, tmp_path, "denoiser", precision, plugin)
    logger = tensorrt_worker.quiet_logger(rtx)
    builder = flavours.builder(rtx, logger)
    network = tensorrt_worker.parse(rtx, logger, builder, prepared, plugin)
    trt = rtx.module
    wanted = {"float32": trt.float32, "float16": trt.float16, "bfloat16": trt.bfloat16}[precision]
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    operators = [layer for layer in layers if layer.type == trt.LayerType.PLUGIN_V3]
    assert len(operators) == (BLOCKS if plugin else 0)
    for layer in operators:
        assert [layer.get_input(i).dtype for i in range(3)] == [wanted, trt.float32, trt.float32]
        assert layer.get_output(0).dtype == wanted
    products = Counter(layer.get_output(0).dtype for layer in layers if layer.type == trt.LayerType.MATRIX_MULTIPLY)
    inside = 0 if plugin else BLOCKS  # the function's own product is float32
    edges = products[trt.float32] - inside if precision != "float32" else 0
    # The products that read or write an edge of the graph stay float32.
    assert products[wanted] - (inside if precision == "float32" else 0) == PRODUCTS - edges
    assert edges <= 2
    for edge in [network.get_input(i) for i in range(4)] + [network.get_output(0)]:
        assert edge.dtype == trt.float32


def test_the_same_build_twice_does_nothing_and_any_change_builds(rtx, bundle):
    options = Options("float16", ("sm_86",), plugin="python")
    first = build(bundle, options)
    assert first.fresh
    before = (bundle.path / MANIFEST).read_bytes()
    again = build(bundle, options)
    assert (again.fresh, again.engine) == (False, first.engine)
    assert (bundle.path / MANIFEST).read_bytes() == before
    for change in ({"profiles": (parse_profile("28x28:28x28:56x28"),)}, {"workspace": 1 << 30}):
        changed = build(bundle, dataclasses.replace(options, **change))
        assert changed.fresh
        assert changed.engine.key == first.engine.key
        assert len(changed.bundle.manifest.engines) == 1
    beside = build(bundle, Options("float16", ("sm_89",), plugin="python"))
    assert [engine.key for engine in beside.bundle.manifest.engines] == [first.engine.key, beside.engine.key]


def test_a_damaged_engine_is_built_again(rtx, built, tmp_path):
    shutil.copytree(built.bundle.path, tmp_path / "model")
    bundle = Bundle.open(tmp_path / "model")
    (victim,) = bundle.path.rglob("conditioner.engine")
    victim.write_bytes(victim.read_bytes()[:-1])
    again = build(bundle, Options("float16", ("sm_86",), plugin="python"))
    assert again.fresh
    again.bundle.graph(again.engine.graphs["conditioner"])


def test_two_builds_at_once_build_once(rtx, bundle):
    results = []
    options = Options("float16", ("sm_86",), plugin="python")
    both = [threading.Thread(target=lambda: results.append(build(bundle, options))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(result.fresh for result in results) == [False, True]
    assert results[0].engine == results[1].engine


def test_every_profile_is_in_the_engine(rtx, bundle):
    sizes = tuple(map(parse_profile, ("28x28:28x28:28x28", "28x28:56x28:56x28x4")))
    built = build(bundle, Options("float16", ("sm_86",), plugin="python", profiles=sizes))
    assert built.engine.target.profiles == list(sizes)
    assert "--fp16 --gpu sm_86 --profile 28x28x1:28x28x2:28x28x8 --profile " in built.engine.target.options()
    assert engine_key(built.engine.target) == built.engine.key


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(), "--gpu sm_86"),
        (Options(compute=("sm_99",)), "cannot build for sm_99"),
        (Options(compute=("sm_86",), flavour="tensorrt"), "leave --gpu out"),
        (Options(compute=("sm_86",), refit=True), "--refit needs a GPU"),
        (Options(compute=("sm_86",), profiles=(parse_profile("27x28:28x28:28x28"),)), "take 26x28 or 28x28"),
    ],
)
def test_what_cannot_be_built(rtx, bundle, monkeypatch, options, says):
    monkeypatch.setattr("fdcn.gpu.first", lambda: None)
    with pytest.raises(FdcnError, match=re.escape(says)):
        build(bundle, options)
    assert {path.name.split("-")[0] for path in bundle.path.iterdir()} == {"graphs", MANIFEST}


def test_graphs_that_fdcn_did_not_export(rtx, bundle, tmp_path):
    import onnx
    from onnx import helper

    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [value], [])
    onnx.save(helper.make_model(graph, producer_name="somebody"), tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    for name, says in (("other.onnx", "'other' of somebody"), ("text.onnx", "no ONNX file")):
        with pytest.raises(FdcnError, match=f"{says}.*fdcn export"):
            tensorrt_graphs.prepare(tmp_path / name, tmp_path, "denoiser", "float16", True)
