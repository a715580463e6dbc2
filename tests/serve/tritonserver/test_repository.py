"""What `fdcn package` writes, and what Triton's model makes of requests; test_triton_server.py asks the real server."""

import ast
import contextlib
import dataclasses
import io
import shutil

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdcn.bundle import MANIFEST, Bundle, Engine, Graph, Plugin, Target, drafting
from fdcn.cli import cli
from fdcn.errors import FdcnError
from fdcn.runtime import request
from fdcn.serve.settings import Settings
from fdcn.serve.tritonserver.config import Layout, granting, python_config
from fdcn.serve.tritonserver.reading import read_options
from fdcn.serve.tritonserver.repository import new_model
from fdcn.serve.tritonserver.tensors import inputs, outputs


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Run `fdcn package` in an empty folder: package(…) → what it prints. Raises as the command does."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            cli.main(["package", *map(str, words)], standalone_mode=False)
        return printed.getvalue()

    return run


def text(*rows):
    return np.array([[row] for row in rows], object)


def test_a_repository_is_whole(fdcn, toy_bundle, tmp_path):
    bundle = Bundle.open(shutil.copytree(toy_bundle.path, tmp_path / "flowers"))
    (bundle.path / "notes.txt").write_text("mine")
    done = fdcn("package", bundle.path, "--triton", "models", "--max-batch", 4, "--max-delay-ms", 2.5, "--max-queue", 9)
    assert done.returncode == 0, done.stderr
    model = tmp_path / "models" / "flowers"
    assert str(model.relative_to(tmp_path)) in done.stdout
    copied = Bundle.open(model / "1" / "bundle")
    assert copied.manifest == bundle.manifest
    for name in copied.manifest.files:
        copied.file(name)
    assert not (model / "1" / "bundle" / "notes.txt").exists()
    (imported,) = [
        node for node in ast.parse((model / "1/model.py").read_text()).body if isinstance(node, ast.ImportFrom)
    ]
    assert (imported.module, imported.names[0].asname) == ("fdcn.serve.tritonserver.model", "TritonPythonModel")
    config = (model / "config.pbtxt").read_text()
    for line in ("max_batch_size: 4", "max_queue_delay_microseconds: 2500", "max_queue_size: 9", 'name: "flowers"'):
        assert line in config
    guide = (model / "README.md").read_text()
    assert f"tritonserver --model-repository={tmp_path / 'models'}" in guide
    assert all(f"| {tensor.name} |" in guide for tensor in inputs(bundle.manifest, False))
    assert not list((tmp_path / "models").glob(".*"))


def test_what_cannot_be_written_is_said_and_leaves_nothing(package, toy_bundle, tmp_path):
    repository = tmp_path / "models"
    package(toy_bundle.path, "--triton", "models")
    before = sorted(repository.rglob("*"))
    damaged = Bundle.open(shutil.copytree(toy_bundle.path, tmp_path / "damaged"))
    damaged.path.joinpath(damaged.manifest.graphs["decoder"].file).write_bytes(b"")
    (tmp_path / "file").write_text("")
    for words, said in (
        ([toy_bundle.path, "--triton", "models"], "is there already"),
        ([toy_bundle.path, "--triton", "models", "--name", "../up"], "no name for a model"),
        ([toy_bundle.path, "--triton", "models", "--name", 300 * "a"], "no name for a model"),
        ([damaged.path, "--triton", "models"], "decoder"),
        ([tmp_path / "nothing", "--triton", "models"], "does not exist"),
        ([toy_bundle.path, "--triton", "file/models"], "Not a directory"),
        ([toy_bundle.path, "--triton", "models", "--layout", "tensorrt"], "fdcn build"),
    ):
        with pytest.raises(FdcnError, match=said):
            package(*words)
    assert sorted(repository.rglob("*")) == before
    with pytest.raises(click.UsageError, match="--stream is for --layout python"):
        package(toy_bundle.path, "--triton", "models", "--layout", "tensorrt", "--stream")


def test_a_model_that_fails_halfway_is_not_seen(tmp_path):
    with pytest.raises(ZeroDivisionError), new_model(tmp_path, "half") as folder:
        (folder / "file").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_model_reads_what_the_configuration_says(toy_bundle, tmp_path):
    settings = Settings(tmp_path, "onnxruntime", max_size=(64, 32), max_steps=7, max_batch=3, allow_bundled_code=True)
    config = python_config("toy", toy_bundle.manifest, settings, Layout(instances=2))
    assert "count: 2 kind: KIND_CPU" in config
    pairs = [line.split('"') for line in config.splitlines() if line.startswith("parameters")]
    given = {"max_batch_size": 3, "parameters": {pair[1]: {"string_value": pair[3]} for pair in pairs}}
    got = granting(given, tmp_path)
    for name in ("bundle", "backend", "max_size", "max_steps", "allow_bundled_code"):
        assert getattr(got, name) == getattr(settings, name)
    assert got.max_images == settings.max_batch


def test_every_tensor_is_configured_once(toy_bundle, tmp_path):
    for stream in (False, True):
        config = python_config("toy", toy_bundle.manifest, Settings(tmp_path), Layout(stream=stream))
        tensors = [*inputs(toy_bundle.manifest, stream), *outputs(toy_bundle.manifest, stream)]
        assert [config.count(f'name: "{tensor.name}"') for tensor in tensors] == [1] * len(tensors)
        assert ("decoupled: true" in config) == stream


def test_tensors_become_arguments():
    two = {
        "LABEL": text("Étoile".encode(), "1"),
        "SEED": np.array([[2**64 - 1], [0]], np.uint64),
        "SIZE": np.array([[20, 12]] * 2, np.int32),
        "SOLVER": text(b"euler", b"euler"),
        "GUIDANCE": np.array([[2.1]] * 2),
        "GUIDANCE_INTERVAL": np.array([[0.1, 0.9]] * 2),
        "S_MAX_ADJUST": np.array([[False]] * 2),
    }
    assert read_options(two) == {
        "labels": ["Étoile", "1"],
        "seeds": [2**64 - 1, 0],
        "size": (20, 12),
        "solver": "euler",
        "guidance": 2.1,
        "guidance_interval": (0.1, 0.9),
        "s_max_adjust": False,
    }
    assert read_options({"LABEL": text("0", "0")}) == {"labels": ["0", "0"], "seeds": [0, 0]}
    for wrong in ({"SIZE": np.array([[8, 8], [8, 9]])}, {"LABEL": text(b"\xff", b"0")}, {"SOLVER": text(b"a", b"b")}):
        with pytest.raises(FdcnError, match=next(iter(wrong))):
            read_options({**two, **wrong})


@given(
    label=st.binary(max_size=8),
    seed=st.integers(0, 2**64 - 1),
    size=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2),
    steps=st.integers(-(2**31), 2**31 - 1),
    guidance=st.floats(),
    interval=st.tuples(st.floats(), st.floats()),
)
def test_whatever_is_sent_is_a_request_or_an_error_of_fdcn(toy_bundle, label, seed, size, steps, guidance, interval):
    tensors = {
        "LABEL": text(label),
        "SEED": np.array([[seed]], np.uint64),
        "SIZE": np.array([size], np.int32),
        "STEPS": np.array([[steps]], np.int32),
        "GUIDANCE": np.array([[guidance]]),
        "GUIDANCE_INTERVAL": np.array([interval]),
    }
    try:
        got = request.resolve(toy_bundle.manifest, **read_options(tensors))
    except FdcnError:
        return
    assert (got.seeds, got.size, got.steps) == ((seed,), size, steps)


def with_engine(bundle, folder, flavour="tensorrt", kind="library", file="libfdcn_tensorrt.so"):
    """A copy of a bundle with one engine, whose files are texts."""
    copy = Bundle.open(shutil.copytree(bundle.path, folder))
    with drafting(copy.path, "engine") as draft:
        for name in ("denoiser.engine", "conditioner.engine", "libfdcn_tensorrt.so"):
            (draft.path / name).write_text(name)
        graphs = {name: Graph(draft.inside(f"{name}.engine"), []) for name in ("denoiser", "conditioner")}
        plugin = Plugin(kind, 1, None, draft.inside(file) if file else None)
        target = Target(flavour, "10.6.0", ["sm_86"], "12", None, "float16", [], plugin, {}, None, False, "")
        engine = Engine("tensorrt", f"{flavour}-10.6.0-sm_86-float16", graphs, target)
        return draft.commit(dataclasses.replace(copy.manifest, engines=[engine]))


def test_engines_are_laid_out_plainly(package, toy_bundle, tmp_path):
    bundle = with_engine(toy_bundle, tmp_path / "bundle")
    package(bundle.path, "--triton", "models", "--layout", "tensorrt", "--name", "net")
    models = tmp_path / "models"
    assert {path.name for path in models.iterdir()} == {"net_denoiser", "net_conditioner"}
    for name in ("denoiser", "conditioner"):
        folder = models / f"net_{name}"
        assert (folder / "1" / "model.plan").read_text() == f"{name}.engine"
        assert (folder / "libfdcn_tensorrt.so").read_text() == "libfdcn_tensorrt.so"
        config = (folder / "config.pbtxt").read_text()
        assert f'name: "net_{name}"' in config
        assert 'backend: "tensorrt"' in config
    guide = (models / "net_denoiser" / "README.md").read_text()
    assert f"--backend-config=tensorrt,plugins={models / 'net_denoiser' / 'libfdcn_tensorrt.so'}" in guide
    assert "TensorRT 10.6.0" in guide
    with pytest.raises(FdcnError, match="is there already"):
        package(bundle.path, "--triton", "models", "--layout", "tensorrt", "--name", "net")


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({"flavour": "tensorrt-rtx"}, "TensorRT for RTX"),
        ({"kind": "python", "file": None}, "in Python"),
        ({"file": None}, "no plugin library in the bundle"),
    ],
)
def test_engines_that_tritons_backend_cannot_load_are_refused(package, toy_bundle, tmp_path, engine, said):
    bundle = with_engine(toy_bundle, tmp_path / "bundle", **engine)
    with pytest.raises(FdcnError, match=said) as caught:
        package(bundle.path, "--triton", "models", "--layout", "tensorrt")
    assert str(caught.value).endswith(f"fdcn build {bundle.path} --fp16 --plugin library")
    assert not (tmp_path / "models").exists()


def test_engines_without_a_plugin_need_no_library(package, toy_bundle, tmp_path):
    bundle = with_engine(toy_bundle, tmp_path / "bundle", kind="none", file=None)
    package(bundle.path, "--triton", "models", "--layout", "tensorrt")
    guide = (tmp_path / "models" / "bundle_denoiser" / "README.md").read_text()
    assert "plugins=" not in guide
    assert not list((tmp_path / "models").rglob("*.so"))
    assert (bundle.path / MANIFEST).is_file()
