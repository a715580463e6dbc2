"""INT8 and FP8 engines of the shipped checkpoint: for ONNX Runtime, and by TensorRT-RTX with no GPU."""

import dataclasses
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from calibrated import calibrate

from fdcn.bundle import Bundle, Engine, Plugin, Target, engine_key
from fdcn.errors import FdcnError
from fdcn.export import (
    exporter,
    merge,
    on_demand,
    quantised,
    tensorrt_engine,
    tensorrt_graphs,
    tensorrt_job,
    tensorrt_worker,
)
from fdcn.export import recipe as recipes
from fdcn.export.engine import build_onnxruntime, newest, standing
from fdcn.export.profiles import parse_profile
from fdcn.export.quantised_graphs import int8
from fdcn.export.tensorrt_engine import build
from fdcn.export.tensorrt_target import Options, check_precision
from fdcn.gpu import Gpu
from fdcn.plugins import flavours, tensorrt_plugin
from fdcn.plugins.flavours import Flavour
from fdcn.runtime.backends import onnxrt
from fdcn.runtime.backends.onnxrt import OnnxRuntime

SHIPPED = Path(__file__).parents[2] / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"
PRODUCTS = 5 * 11
"""Of the shipped network, in its blocks."""
SIZE = (parse_profile("28x28:28x28:28x28x2"),)


@pytest.fixture
def bundle(calibrated_bundle, tmp_path):
    """A copy of the calibrated bundle, without engines."""
    shutil.copytree(calibrated_bundle.path, tmp_path / "model")
    return Bundle.open(tmp_path / "model")


@pytest.fixture(scope="module")
def on_cpu(calibrated_bundle, tmp_path_factory):
    """An INT8 engine for ONNX Runtime. Read only."""
    path = tmp_path_factory.mktemp("on-cpu") / "model"
    shutil.copytree(calibrated_bundle.path, path)
    return build_onnxruntime(Bundle.open(path), native=False, quantise=int8)


def feeds(bundle, t=0.5):
    """A guided pair's inputs at a time; its latents are noise still."""
    m, rows = bundle.manifest.model, 2
    portable = Bundle(bundle.path, dataclasses.replace(bundle.manifest, engines=[]))
    modulation, final = OnnxRuntime(portable, native=False).condition(np.float32([t]), np.int64([3, m.classes]))
    latent = np.random.default_rng(0).standard_normal((rows, 1, 28, 28), np.float32)
    s_max = np.full((rows, m.blocks, 2), 6, np.float32)
    return {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}


def test_onnxruntime_multiplies_integers(on_cpu, tmp_path):
    (engine,) = on_cpu.manifest.engines
    assert engine.key == f"onnxruntime-{ort.__version__}-function-int8"
    assert (engine.precision, engine.step_groups) == ("int8", [])
    assert engine.graphs["conditioner"] == on_cpu.manifest.graphs["conditioner"]
    (data,) = engine.graphs["denoiser"].data
    (portable,) = on_cpu.manifest.graphs["denoiser"].data
    assert on_cpu.manifest.files[data].bytes < 0.3 * on_cpu.manifest.files[portable].bytes
    options = onnxrt.session_options(False, "int8")
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(on_cpu.graph(engine.graphs["denoiser"]), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(tmp_path / "optimised.onnx", load_external_data=False)
    kinds = Counter(node.op_type for node in optimised.graph.node)
    assert kinds["MatMulIntegerToFloat"] == PRODUCTS
    given = feeds(on_cpu)
    as_exported = Bundle(on_cpu.path, dataclasses.replace(on_cpu.manifest, engines=[]))
    a, b = (OnnxRuntime(each, native=False).denoise("denoiser", **given) for each in (on_cpu, as_exported))
    cosine = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert 0.99 <= cosine < 0.9999999, cosine


def test_an_engine_stands_until_the_calibration_changes(on_cpu, tmp_path):
    shutil.copytree(on_cpu.path, tmp_path / "model")
    bundle = Bundle.open(tmp_path / "model")
    found = quantised.find(bundle, "int8")
    (engine,) = bundle.manifest.engines
    assert engine.recipe_sha256 == found.sha256
    assert standing(bundle, found.sha256) == engine
    assert standing(bundle) is None
    assert newest(bundle, engine).manifest == bundle.manifest
    wider = dataclasses.replace(
        found.recipe,
        activations=[dataclasses.replace(a, ranges=[2 * r for r in a.ranges]) for a in found.recipe.activations],
    )
    again = calibrate(bundle, [wider])
    assert standing(again, quantised.find(again, "int8").sha256) is None
    (graph,) = [again.path / graph.data[0] for name, graph in engine.graphs.items() if name == "denoiser"]
    graph.write_bytes(graph.read_bytes()[:-1])
    assert standing(Bundle.open(bundle.path), found.sha256) is None


def changed(bundle, **changes):
    """A bundle whose calibration says something else."""
    calibration = dataclasses.replace(bundle.manifest.calibration, **changes)
    return Bundle(bundle.path, dataclasses.replace(bundle.manifest, calibration=calibration))


def test_what_no_engine_can_be_made_by(bundle):
    said = f"fdcn calibrate {bundle.path}"
    none = Bundle(bundle.path, dataclasses.replace(bundle.manifest, calibration=None))
    other = dataclasses.replace(bundle.manifest.model, weights_sha256="0" * 64)
    of_other = Bundle(bundle.path, dataclasses.replace(bundle.manifest, model=other))
    path = bundle.manifest.calibration.recipes["int8"]
    for wrong, words in (
        (none, "holds no calibration for --int8"),
        (changed(bundle, recipes={"fp8": path}), "holds no calibration for --int8"),
        (changed(bundle, weights_sha256="1" * 64), "calibrated with other weights (111111111111…) than it has"),
        (of_other, "than it has (000000000000…)"),
        (changed(bundle, recipes={"int8": bundle.manifest.calibration.recipes["fp8"]}), "is a recipe for fp8"),
    ):
        with pytest.raises(FdcnError, match=f"{re.escape(words)}.*{re.escape(said)}"):
            quantised.find(wrong, "int8")
    (bundle.path / path).write_text("{}")
    with pytest.raises(FdcnError, match=r"int8.json has 2 bytes.*run fdcn calibrate again"):
        quantised.find(bundle, "int8")


def test_a_summary():
    layers = [recipes.Activation(["a", "b"], [1.0]), recipes.Activation(["c"], [1.0])]
    one = recipes.Recipe("fp8", "", [1.0], layers, {"d": "it is the last"}, {})
    assert quantised.summary(one) == "3 of 4 products in FP8"
    assert quantised.graph_names(one) == ["denoiser"]
    two = dataclasses.replace(one, until=[0.5, 1.0])
    assert quantised.summary(two) == "3 of 4 products in FP8, with other ranges in each of 2 groups of steps"
    assert [group.graph for group in quantised.step_groups(two)] == ["denoiser", "denoiser-2"]


def test_rtx_builds_an_engine_of_the_shipped_checkpoint(rtx, bundle):
    precision = "int8"  # FP8 is built by test_cli_engines.py
    options = Options(precision, ("sm_89",), plugin="python", profiles=SIZE)
    built = build(bundle, options)
    found = quantised.find(built.bundle, precision)
    assert (built.fresh, built.recipe) == (True, found.recipe)
    assert built.engine.key == f"tensorrt-rtx-{rtx.version}-sm_89-{precision}"
    assert built.engine.recipe_sha256 == found.sha256
    assert built.engine.target.options().startswith(f"--{precision} --gpu sm_89")
    again = build(built.bundle, options)
    assert (again.fresh, again.engine, again.recipe) == (False, built.engine, found.recipe)
    kept = dataclasses.replace(
        found.recipe,
        activations=found.recipe.activations[1:],
        kept=found.recipe.kept | dict.fromkeys(found.recipe.activations[0].products, "to see"),
    )
    calibrated = calibrate(built.bundle, [kept])
    resolved = tensorrt_engine.resolve(calibrated, options)
    assert tensorrt_engine.standing(calibrated, resolved) is None


@pytest.mark.parametrize(("precision", "plugin"), [("int8", True), ("fp8", True), ("fp8", False)])
def test_parsed_networks(rtx, bundle, tmp_path, precision, plugin):
    if plugin:
        tensorrt_plugin.register(rtx, "python")
    source, recipe = bundle.graph(bundle.manifest.graphs["denoiser"]), quantised.find(bundle, precision).recipe
    prepared = tensorrt_graphs.prepare(source, tmp_path, "denoiser-2", precision, plugin, recipe)
    assert prepared.path.name == "denoiser-2.onnx"
    assert prepared.quantised == PRODUCTS
    logger = tensorrt_worker.quiet_logger(rtx)
    builder = flavours.builder(rtx, logger)
    network = tensorrt_worker.parse(rtx, logger, builder, prepared, plugin)
    trt = rtx.module
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    kind = {"int8": trt.int8, "fp8": trt.DataType.FP8}[precision]
    pairs = [layer for layer in layers if layer.type == trt.LayerType.DEQUANTIZE]
    assert len(pairs) == 2 * PRODUCTS
    assert {layer.get_input(0).dtype for layer in pairs} == {kind}
    assert {layer.get_output(0).dtype for layer in pairs} == {trt.float16}
    for layer in (layer for layer in layers if layer.type == trt.LayerType.PLUGIN_V3):
        assert layer.get_input(0).dtype == trt.float16
    with pytest.raises(FdcnError, match=rf"sees {PRODUCTS} of the 54 quantised products of the denoiser-2 .*--fp16"):
        tensorrt_worker.parse(rtx, logger, builder, dataclasses.replace(prepared, quantised=54), plugin)


def test_each_step_group_is_built_from_the_denoiser(bundle, monkeypatch):
    found = quantised.find(bundle, "fp8")
    layers = [dataclasses.replace(a, ranges=a.ranges * 2) for a in found.recipe.activations]
    grouped = calibrate(bundle, [dataclasses.replace(found.recipe, until=[0.5, 1.0], activations=layers)])
    jobs = []

    def run(job, progress):
        jobs.extend(job.graphs)
        for graph in job.graphs:
            Path(graph.destination).write_bytes(b"an engine")

    flavour = Flavour("tensorrt-rtx", "1.7.1.116", "13", None)
    monkeypatch.setattr(flavours, "load", lambda name: flavour)
    monkeypatch.setattr(flavours, "check_compute", lambda flavour, compute: None)
    monkeypatch.setattr(tensorrt_job, "run", run)
    built = build(grouped, Options("fp8", ("sm_89",), plugin="none"))
    assert [(job.name, bool(job.recipe), job.group) for job in jobs] == [
        ("conditioner", False, 0),
        ("denoiser", True, 0),
        ("denoiser-2", True, 1),
        ("decoder", False, 0),
    ]
    assert jobs[1].source == jobs[2].source
    assert jobs[1].profiles == jobs[2].profiles != jobs[0].profiles
    assert [(group.until, group.graph) for group in built.engine.step_groups] == [(0.5, "denoiser"), (1, "denoiser-2")]
    assert built.bundle.graph(built.engine.graphs["denoiser-2"]).read_bytes() == b"an engine"
    assert Bundle.open(bundle.path).manifest.engines == [built.engine]
    halves = build(built.bundle, Options("float16", ("sm_89",), plugin="none"))
    assert halves.engine.step_groups == []
    back = build(halves.bundle, Options("fp8", ("sm_89",), plugin="none"))
    assert (back.fresh, [e.precision for e in back.bundle.manifest.engines]) == (False, ["float16", "fp8"])


@pytest.mark.parametrize(
    ("precision", "compute", "says"),
    [
        (
            "fp8",
            ["sm_89", "sm_86"],
            "sm_86 has no FP8, which GPUs have from sm_89 on; build for it with --int8 or --fp16",
        ),
        ("int8", ["sm_70"], "sm_70 has no INT8, which GPUs have from sm_75 on; build for it with --fp16"),
        ("fp8", ["sm_60"], "build for it with --fp16"),
    ],
)
def test_precisions_that_an_architecture_lacks(precision, compute, says):
    with pytest.raises(FdcnError, match=re.escape(says)):
        check_precision(precision, compute)


def test_precisions_that_architectures_have():
    check_precision("fp8", ["sm_89", "sm_90", "sm_100", "sm_120"])
    check_precision("int8", ["sm_75", "sm_120"])
    check_precision("float16", ["sm_60"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options("fp8", ("sm_86",)), "sm_86 has no FP8"),
        (Options("int8", ("sm_89",), refit=True), "leave --refit out with --int8"),
        (Options("fp8"), "no NVIDIA GPU here; name the architecture of the machine to build for, as --gpu sm_89"),
    ],
)
def test_what_cannot_be_built(rtx, bundle, monkeypatch, options, says):
    found = Gpu("a GPU", "sm_89", 1, "13.0", "580") if options.compute else None
    monkeypatch.setattr("fdcn.gpu.first", lambda: found)
    with pytest.raises(FdcnError, match=re.escape(says)):
        build(bundle, options)


def test_other_weights_drop_the_calibration_and_what_it_made(on_cpu, tmp_path):
    from safetensors.torch import load_file, save_file

    from fdcn.export.update import update

    shutil.copytree(on_cpu.path, tmp_path / "model")
    tensors, name = load_file(SHIPPED), "final_layer.linear.bias"
    save_file(tensors | {name: tensors[name] + 1}, tmp_path / "new.safetensors")
    lines: list[str] = []
    updated = update(tmp_path / "model", tmp_path / "new.safetensors", report=lines.append)
    assert (updated.manifest.calibration, updated.manifest.engines) == (None, [])
    command = f"fdcn calibrate {tmp_path / 'model'}"
    key = on_cpu.manifest.engines[0].key
    assert lines[-2].startswith(f"dropped {key}: other weights need another calibration; ")
    assert lines[-2].endswith(f"{command}, then fdcn build {tmp_path / 'model'} --int8")
    assert lines[-1] == f"dropped the calibration: it is of the old weights; calibrate again: {command}"
    assert not list(updated.path.glob("calibration-*"))


def test_a_merge_keeps_a_calibration(on_cpu, shipped_bundle, tmp_path):
    shutil.copytree(shipped_bundle.path, tmp_path / "plain")
    joined = merge.merge(tmp_path / "plain", on_cpu.path)
    assert quantised.find(joined, "fp8").recipe == quantised.find(on_cpu, "fp8").recipe
    for graph in joined.manifest.engines[0].graphs.values():
        joined.graph(graph)
    shutil.copytree(on_cpu.path, tmp_path / "first")
    ours = merge.merge(tmp_path / "first", tmp_path / "plain")
    assert ours.manifest.calibration == on_cpu.manifest.calibration
    anew = merge.merge(on_cpu.path, shipped_bundle.path, tmp_path / "anew")
    assert quantised.find(anew, "int8").recipe == quantised.find(on_cpu, "int8").recipe
    assert set(anew.manifest.calibration.paths()) <= anew.manifest.files.keys()


def test_the_same_weights_exported_again_keep_their_calibration(bundle, monkeypatch):
    def export_graph(source, draft, identity):
        return draft.copy(bundle, bundle.manifest.graphs[source.name])

    monkeypatch.setattr(exporter, "export_graph", export_graph)
    again = exporter.export(SHIPPED, bundle.path)
    assert again.manifest.calibration == bundle.manifest.calibration
    quantised.find(again, "int8")


def test_an_engine_on_demand_takes_a_precision_that_the_gpu_has(bundle):
    plugin = Plugin("none", 1, None, None)
    target = Target("tensorrt", "10.6.0", ["sm_89"], "12", None, "fp8", [], plugin, {}, None, False, "")
    engines = [Engine("tensorrt", engine_key(target), {}, target)]
    with_fp8 = Bundle(bundle.path, dataclasses.replace(bundle.manifest, engines=engines))
    assert [on_demand._like(with_fp8, sm).precision for sm in ("sm_86", "sm_90")] == ["float16", "fp8"]
