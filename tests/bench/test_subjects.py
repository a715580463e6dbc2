"""Which engines of a bundle are measured."""

import dataclasses

import pytest

from fdcn.bench import subjects
from fdcn.bundle import Bundle, Engine, Plugin, Target, engine_key
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu
from fdcn.runtime.backends import choice, onnxrt

GPU = Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", "580.65.06")


def target(precision, compute="sm_86"):
    plugin = Plugin("none", 1, None, None)
    return Target("tensorrt", "10.6.0", [compute], "12", None, precision, [], plugin, {}, None, False, "")


def with_engines(bundle, *targets, others=()):
    engines = [Engine("tensorrt", engine_key(t), {}, t) for t in targets]
    manifest = dataclasses.replace(bundle.manifest, engines=[*others, *engines])
    return Bundle(bundle.path, manifest)


@pytest.fixture
def a10(monkeypatch):
    """A GPU that TensorRT 10.6.0 runs on."""
    installed = {"tensorrt": choice.Installed("10.6.0", "12")}
    monkeypatch.setattr(subjects.gpu, "first", lambda: GPU)
    monkeypatch.setattr(choice, "survey", lambda gpu, engines: choice.Machine(gpu, installed, True, True))


def test_on_a_gpu_every_engine_that_it_loads(tiny_bundle, a10):
    bundle = with_engines(tiny_bundle, target("float16"), target("bfloat16"), target("float16", "sm_75"))
    found = subjects.find(bundle, "auto")
    assert [subject.precision for subject in found] == ["float16", "bfloat16"]
    assert all(subject.backend == "tensorrt" for subject in found)
    assert [[engine.key for engine in subject.bundle.manifest.engines] for subject in found] == [
        [subject.name] for subject in found
    ]
    (cpu,) = subjects.find(bundle, "onnxruntime")
    assert (cpu.name, cpu.backend) == ("portable", "onnxruntime")


def test_on_a_gpu_that_loads_none_of_them_it_says_why(tiny_bundle, a10):
    with pytest.raises(FdcnError, match="is for sm_75, this GPU is sm_86"):
        subjects.find(with_engines(tiny_bundle, target("float16", "sm_75")), "auto")


def test_engines_by_name(tiny_bundle):
    bundle = with_engines(tiny_bundle, target("float16"))
    names = ["portable", "tensorrt-10.6.0-sm_86-float16", "portable"]
    found = subjects.find(bundle, "auto", names)
    assert [(s.name, s.backend, s.precision) for s in found] == [
        ("portable", "onnxruntime", "float32"),
        ("tensorrt-10.6.0-sm_86-float16", "tensorrt", "float16"),
    ]


def test_graphs_for_another_onnx_runtime_are_passed_over_and_refused_by_name(tiny_bundle):
    old = Engine("onnxruntime", "onnxruntime-0.1-function", tiny_bundle.manifest.graphs)
    bundle = with_engines(tiny_bundle, others=[old])
    assert subjects.find(bundle, "onnxruntime")[0].name == "portable"
    with pytest.raises(FdcnError, match=f"engines are {onnxrt.engine_key(False)}; build one: fdcn build"):
        subjects.find(bundle, "auto", [old.key])


def test_an_int8_engine_is_measured_as_such(tiny_bundle, monkeypatch):
    monkeypatch.setattr(subjects.gpu, "first", lambda: None)
    graphs = tiny_bundle.manifest.graphs
    engines = [Engine("onnxruntime", onnxrt.engine_key(False, precision), graphs) for precision in ("float32", "int8")]
    bundle = with_engines(tiny_bundle, others=engines)
    (newest,) = subjects.find(bundle, "auto")
    assert (newest.name, newest.precision) == (engines[1].key, "int8")
    (named,) = subjects.find(bundle, "auto", [engines[0].key])
    assert (named.precision, named.bundle.manifest.engines) == ("float32", engines[:1])
    elsewhere = Engine("onnxruntime", "onnxruntime-1.0.0-native-int8", graphs)
    with pytest.raises(FdcnError, match=f"engines are {onnxrt.engine_key(False, 'int8')}; build one: .* --int8"):
        subjects.find(with_engines(tiny_bundle, others=[elsewhere]), "auto", [elsewhere.key])
