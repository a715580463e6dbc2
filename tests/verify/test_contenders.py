"""What the names of `fdcn verify` stand for, on this machine and on one with a simulated GPU."""

import dataclasses
import shutil

import numpy as np
import onnxruntime as ort
import pytest

from fdcn import gpu
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.engine import build_onnxruntime
from fdcn.runtime.backends import onnxrt
from fdcn.verify.contenders import names, open_all, open_contender


@pytest.fixture(scope="module")
def built(tiny_bundle, tmp_path_factory):
    """The tiny bundle with graphs optimised for this ONNX Runtime. Read only."""
    path = tmp_path_factory.mktemp("built") / "tiny"
    shutil.copytree(tiny_bundle.path, path)
    return build_onnxruntime(Bundle.open(path), native=False)


def key(native=False):
    return onnxrt.engine_key(native)


def test_names(tiny_bundle, built):
    always = ["auto", "onnxruntime", "tensorrt", "onnxruntime-portable"]
    always += ["onnxruntime-fp16", "onnxruntime-int8", "onnxruntime-fp8"]
    assert names(tiny_bundle) == always
    assert names(built) == [*always, key()]


@pytest.mark.parametrize(
    ("name", "artifact", "precision"),
    [
        ("auto", key(), "float32"),
        ("onnxruntime", key(), "float32"),
        (key(), key(), "float32"),
        ("onnxruntime-portable", "portable graphs", "float32"),
        ("onnxruntime-fp16", "portable graphs in float16", "float16"),
    ],
)
def test_what_a_name_opens(built, tmp_path, name, artifact, precision):
    opened = open_contender(built, name, tmp_path)
    assert (opened.side.name, opened.side.artifact, opened.side.precision) == (name, artifact, precision)
    assert opened.side.backend == opened.backend.name
    assert ("optimised graphs" in opened.backend.name) == (artifact == key())
    modulation, final = opened.backend.condition(np.zeros(2, np.float32), np.zeros(3, np.int64))
    assert (len(modulation), len(final)) == (6, 6)


def test_the_native_operator_is_taken_where_it_is_built(built, tmp_path, native_operator):
    opened = {
        name: open_contender(built, name, tmp_path).side for name in ("onnxruntime", key(), "onnxruntime-portable")
    }
    # The engine that is there was made without it.
    assert opened["onnxruntime"].artifact == "portable graphs"
    assert "native operator" in opened["onnxruntime"].backend
    assert opened[key()].artifact == key()
    for name in (key(), "onnxruntime-portable"):
        assert "portable operator" in opened[name].backend


def test_half_precision_is_half(tiny_bundle, tmp_path):
    half = open_contender(tiny_bundle, "onnxruntime-fp16", tmp_path)
    assert not half.same_as(open_contender(tiny_bundle, "onnxruntime", tmp_path))
    size = sum(path.stat().st_size for path in tmp_path.rglob("denoiser.onnx.data"))
    portable = tiny_bundle.path / tiny_bundle.manifest.graphs["denoiser"].data[0]
    assert 0.45 * portable.stat().st_size < size < 0.6 * portable.stat().st_size


def test_unknown_names_are_refused_with_those_that_there_are(built, tmp_path):
    with pytest.raises(FdcnError, match=f"nothing called 'tensort'.*onnxruntime-portable.*{key()}"):
        open_contender(built, "tensort", tmp_path)


@pytest.mark.parametrize(
    ("reference", "candidates"),
    [
        ("onnxruntime-portable", ["auto"]),
        ("onnxruntime", ["onnxruntime-portable"]),
        ("onnxruntime-portable", ["onnxruntime-fp16", "onnxruntime"]),
    ],
)
def test_the_same_thing_twice_is_refused(tiny_bundle, tmp_path, reference, candidates):
    with pytest.raises(FdcnError, match=r"are the same here.*fdcn build .*--candidate onnxruntime-fp16"):
        open_all(tiny_bundle, reference, candidates, tmp_path)


def test_two_names_of_one_engine_are_the_same(built, tmp_path):
    with pytest.raises(FdcnError, match="are the same here"):
        open_all(built, "auto", [key()], tmp_path)
    open_all(built, "onnxruntime-portable", ["auto"], tmp_path)


@pytest.mark.parametrize("found", ["onnxruntime-1.0.0-function", f"onnxruntime-{ort.__version__}-native"])
def test_an_engine_of_another_runtime_is_refused(built, tmp_path, found):
    (engine,) = built.manifest.engines
    manifest = dataclasses.replace(built.manifest, engines=[dataclasses.replace(engine, key=found)])
    with pytest.raises(FdcnError, match=f"{found} does not run here.*{key()}.*fdcn build"):
        open_contender(Bundle(built.path, manifest), found, tmp_path)


def test_tensorrt_needs_a_gpu(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "first", lambda: None)
    with pytest.raises(FdcnError, match=r"needs an NVIDIA GPU.*compare onnxruntime-fp16"):
        open_contender(tiny_bundle, "tensorrt", tmp_path)


def test_with_a_gpu_auto_takes_its_engine_or_says_how_to_get_one(tiny_bundle, tmp_path, monkeypatch):
    pytest.importorskip("cuda.bindings", reason="fdcn[gpu] is not installed")
    monkeypatch.setattr(gpu, "first", lambda: gpu.Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", "580.65.06"))
    for name in ("auto", "tensorrt"):
        with pytest.raises(FdcnError, match=r"no TensorRT engine.*NVIDIA A10.*fdcn build"):
            open_contender(tiny_bundle, name, tmp_path)
