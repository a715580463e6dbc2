"""An engine as a contender: with a simulation of a GPU, and what of it TensorRT-RTX builds without one."""

import dataclasses
import shutil

import numpy as np
import onnx_ir as ir
import pytest
import simulated_gpu
from simulated_engine import simulated

from fdcn import gpu
from fdcn.bundle import Bundle, Engine, Graph, Plugin, Target, drafting, engine_key, sha256
from fdcn.errors import FdcnError
from fdcn.export import tensorrt_job
from fdcn.export.profiles import axes, parse_profile
from fdcn.export.tensorrt_job import GraphJob
from fdcn.plugins import flavours
from fdcn.verify import run_operator
from fdcn.verify.contenders import open_all
from fdcn.verify.ladder import compare
from fdcn.verify.one_operator import NAME, Layout, one_node
from fdcn.verify.operator_cases import cases

A10 = gpu.Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", "580.65.06")
PROFILE = parse_profile("8x8:28x28:56x56x4")
TARGET = Target(
    "tensorrt",
    "10.6.0",
    ["sm_86"],
    "12",
    None,
    "float16",
    [PROFILE],
    Plugin("none", 1, None, None),
    {},
    None,
    False,
    "",
)


@pytest.fixture
def cuda(monkeypatch):
    """A simulated GPU with a simulated TensorRT 10.6.0."""
    cuda = simulated(monkeypatch)
    monkeypatch.setattr(gpu, "first", lambda: A10)
    return cuda


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that were given to a builder, which simulates engines."""
    given = []

    def run(job):
        given.append(job)
        for graph in job.graphs:
            plan = simulated_gpu.plan(graph.source, [ranges(graph.source, sides) for sides in graph.profiles])
            with open(graph.destination, "wb") as file:  # noqa: PTH123 - as the builder's process does
                file.write(plan)

    monkeypatch.setattr(tensorrt_job, "run", run)
    return given


def ranges(onnx, sides):
    inputs = simulated_gpu.ort.InferenceSession(onnx).get_inputs()
    return {i.name: [[sides[dim][k] if dim in sides else dim for dim in i.shape] for k in range(3)] for i in inputs}


@pytest.fixture
def bundle(tmp_path, shipped_bundle):
    """The shipped checkpoint with an engine, said to be float16, for the simulated GPU."""
    shutil.copytree(shipped_bundle.path, tmp_path / "model")
    bundle = Bundle.open(tmp_path / "model")
    with drafting(bundle.path, "engine") as draft:
        graphs = {}
        for name, graph in bundle.manifest.graphs.items():
            onnx = bundle.graph(graph).resolve()
            profiles = [ranges(onnx, sides) for sides in axes(name, TARGET.profiles, bundle.manifest.pixel_factor)]
            (draft.path / f"{name}.engine").write_bytes(simulated_gpu.plan(onnx, profiles))
            graphs[name] = Graph(draft.inside(f"{name}.engine"), [])
        engine = Engine("tensorrt", engine_key(TARGET), graphs, TARGET)
        return draft.commit(dataclasses.replace(bundle.manifest, engines=[engine]))


def test_an_engine_is_compared_on_every_rung(cuda, jobs, bundle, tmp_path):
    pair = open_all(bundle, "onnxruntime-portable", ["auto"], tmp_path)
    assert pair[1][0].side.artifact == "tensorrt-10.6.0-sm_86-float16"
    assert pair[1][0].side.precision == "float16"
    report = compare(bundle, *pair, {"labels": [1, 2, 3], "steps": 5}, [(28, 28), (56, 20)])
    assert report.passed
    (compared,) = report.candidates
    assert [len(rung.rows) for rung in compared.rungs] == [6, 2, 10, 6]
    assert compared.rungs[2].limits == {"cosine": 0.9999}
    (job,) = jobs
    assert (job.flavour, job.precision, job.plugin, job.compute, job.library) == (
        "tensorrt",
        "float16",
        "none",
        [],
        None,
    )


def test_an_engine_by_its_key_and_as_tensorrt_is_the_same(cuda, bundle, tmp_path):
    with pytest.raises(FdcnError, match="are the same here"):
        open_all(bundle, "tensorrt", ["tensorrt-10.6.0-sm_86-float16"], tmp_path)
    open_all(bundle, "onnxruntime", ["tensorrt-10.6.0-sm_86-float16"], tmp_path)


def test_a_size_outside_the_profiles_is_an_error(cuda, jobs, bundle, tmp_path):
    pair = open_all(bundle, "onnxruntime-portable", ["auto"], tmp_path)
    with pytest.raises(FdcnError, match="outside every profile"):
        compare(bundle, *pair, {"labels": [1], "steps": 5}, [(112, 28)])


def test_the_plugin_is_that_of_the_engine(bundle, tmp_path, monkeypatch):
    own, bundled = tmp_path / "own.so", bundle.path / bundle.manifest.graphs["denoiser"].file
    own.write_bytes(b"own")
    plugin = Plugin("library", 1, sha256(bundled), bundled.relative_to(bundle.path).as_posix())
    target = dataclasses.replace(TARGET, plugin=plugin)
    monkeypatch.setattr(run_operator.libraries, "find", lambda kind: own)
    assert run_operator._plugin(bundle, target, True) == ("library", own.resolve())
    monkeypatch.setattr(run_operator.libraries, "find", lambda kind: None)
    assert run_operator._plugin(bundle, target, True) == ("library", bundled.resolve())
    assert run_operator._plugin(bundle, target, False) == ("python", None)


@pytest.mark.parametrize(("precision", "plugin"), [("float16", "python"), ("bfloat16", "none"), ("float32", "python")])
def test_tensorrt_rtx_builds_the_operator_alone(tmp_path, precision, plugin):
    try:
        rtx = flavours.load("tensorrt-rtx")
    except FdcnError as error:
        pytest.skip(f"no engine of the operator alone was built: {error}")
    layout = Layout(4, 24, 9)
    inputs = list(cases(layout, precision).values())
    source, engine = tmp_path / "one.onnx", tmp_path / "one.engine"
    ir.save(one_node(layout), source)
    target = dataclasses.replace(
        TARGET, flavour="tensorrt-rtx", version=rtx.version, precision=precision, plugin=Plugin(plugin, 1, None, None)
    )
    graph = GraphJob(NAME, str(source), str(engine), [run_operator._axes(inputs)])
    job = run_operator._job(target, (plugin, None), tmp_path, graph)
    layers = tensorrt_job.run(dataclasses.replace(job, compute=["sm_86"]))
    # The plugin, and a cast at either edge.
    assert (layers[NAME] == (1 if precision == "float32" else 3)) is (plugin == "python")
    assert engine.stat().st_size > 10_000


def test_a_profile_holds_every_case():
    inputs = list(cases(Layout(1, 3, 9), "float32").values())
    sides = run_operator._axes(inputs)
    for case in inputs:
        for size, axis in zip(np.shape(case["projection"]), "NHW", strict=False):
            assert sides[axis][0] <= size <= sides[axis][2]
