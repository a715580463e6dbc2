"""What becomes of a build whose process ends badly, and the engines that a run builds for itself."""

import dataclasses
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fdcn.bundle import MANIFEST, Bundle
from fdcn.errors import FdcnError
from fdcn.export import checkpoint, on_demand, tensorrt_engine, tensorrt_job, tensorrt_target
from fdcn.export.tensorrt_job import Job
from fdcn.export.update import update
from fdcn.gpu import Gpu
from fdcn.plugins.flavours import Flavour

PROCESS = "import json, os, signal, sys, time; job = json.load(sys.stdin); "


def job(tmp_path: Path) -> Job:
    return Job("tensorrt-rtx", "float16", "none", None, ["sm_86"], None, False, None, str(tmp_path), [])


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", FdcnError, "memory runs out.*--profile"),
        ("sys.stderr.write('terminate called: std::bad_alloc'); os.abort()", FdcnError, "out of memory.*--profile"),
        ("sys.stderr.write('Myelin is unwell'); os.abort()", FdcnError, "SIGABRT.*Myelin is unwell.*--plugin none"),
        ("print(json.dumps({'error': 'too old; update it'}))", FdcnError, "too old; update it"),
        ("raise ValueError('a defect')", RuntimeError, "Traceback.*a defect"),
        ("sys.exit(3)", RuntimeError, "status 3"),
    ],
)
def test_processes_that_end_badly(tmp_path, monkeypatch, code, error, says):
    monkeypatch.setattr(tensorrt_job, "_START", PROCESS + code)
    with pytest.raises(error, match=f"(?s){says}"):
        tensorrt_job.run(job(tmp_path))


def test_the_process_does_not_look_for_modules_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "onnx_ir.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tensorrt_job, "_START", PROCESS + "import onnx_ir; print(json.dumps({'built': {'a': 1}}))")
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no PYTHONSAFEPATH")
    assert tensorrt_job.run(job(tmp_path)) == {"a": 1}


def test_whatever_interrupts_the_parent_ends_the_process(tmp_path, monkeypatch):
    said = tmp_path / "pid"
    code = f"open({str(said)!r}, 'w').write(str(os.getpid())); print(json.dumps({{'progress': [1, 2]}}), flush=True)"
    monkeypatch.setattr(tensorrt_job, "_START", PROCESS + code + "; time.sleep(60)")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tensorrt_job.run(job(tmp_path), interrupt)
    assert time.monotonic() - began < 20
    assert subprocess.run(["ps", "-p", said.read_text()], capture_output=True, check=False).returncode == 1


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with a GPU and a TensorRT whose engines are short. Yields the names of what it has built."""
    built = []
    gpu = Gpu("a GPU", "sm_86", 1, "13.0", "580")
    flavour = Flavour("tensorrt", "10.6.0", "12", None)

    def run(job, progress):
        for graph in job.graphs:
            built.append(graph.name)
            before = Path(graph.engine).read_bytes() if graph.engine else b"an engine"
            Path(graph.destination).write_bytes(before + b" refitted" * bool(graph.engine))
        return {}

    monkeypatch.setattr("fdcn.gpu.first", lambda: gpu)
    monkeypatch.setattr(tensorrt_target.flavours, "available", lambda: [flavour])
    monkeypatch.setattr(tensorrt_target.flavours, "load", lambda name: flavour)
    for module in (tensorrt_target, tensorrt_engine):
        monkeypatch.setattr(module, "find_plugin", lambda flavour, asked: ("none", None))
    monkeypatch.setattr(tensorrt_job, "run", run)
    monkeypatch.setenv("FDCN_CACHE", str(tmp_path / "cache"))
    return built


def test_an_engine_on_demand_is_built_once_into_the_cache(machine, tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle.path, tmp_path / "model")
    bundle = Bundle.open(tmp_path / "model")
    before = (bundle.path / MANIFEST).read_bytes()
    lines: list[str] = []
    first = on_demand.with_engine(bundle, report=lines.append)
    second = on_demand.with_engine(Bundle.open(bundle.path), report=lines.append)
    assert machine == ["conditioner", "denoiser"]
    assert len(lines) == 1
    for joined in (first, second):
        engine = joined.manifest.engines[-1]
        assert engine.key == "tensorrt-10.6.0-sm_86-float16"
        assert joined.graph(engine.graphs["denoiser"]).read_bytes() == b"an engine"
        joined.graph(joined.manifest.graphs["denoiser"])
    assert (bundle.path / MANIFEST).read_bytes() == before
    (victim,) = (tmp_path / "cache").rglob("denoiser.engine")
    victim.write_bytes(b"an enginE")
    on_demand.with_engine(bundle)
    assert machine == ["conditioner", "denoiser"] * 2


def test_an_engine_on_demand_is_like_the_newest_of_the_bundle(machine, tiny_bundle, tmp_path):
    from fdcn.export.profiles import parse_profile
    from fdcn.export.tensorrt_engine import build

    shutil.copytree(tiny_bundle.path, tmp_path / "model")
    sizes = (parse_profile("64x64:64x64:128x64"),)
    options = tensorrt_target.Options("bfloat16", profiles=sizes)
    bundle = build(Bundle.open(tmp_path / "model"), options).bundle
    elsewhere = dataclasses.replace(bundle.manifest.engines[0].target, compute=["sm_120"], made_from="")
    engines = [dataclasses.replace(bundle.manifest.engines[0], target=elsewhere)]
    joined = on_demand.with_engine(Bundle(bundle.path, dataclasses.replace(bundle.manifest, engines=engines)))
    target = joined.manifest.engines[-1].target
    assert (target.precision, target.profiles, target.compute) == ("bfloat16", list(sizes), ["sm_86"])


def test_a_run_builds_only_where_no_engine_fits(machine, tiny_bundle, tmp_path, monkeypatch):
    from fdcn import cli
    from fdcn.runtime.backends import choice

    shutil.copytree(tiny_bundle.path, tmp_path / "model")
    installed = {"tensorrt": choice.Installed("10.6.0", "12")}
    monkeypatch.setattr(choice, "survey", lambda gpu, engines: choice.Machine(gpu, installed, None, False))
    monkeypatch.setattr(
        "fdcn.runtime.backends.open_backend", lambda bundle, name, allow, device: bundle.manifest.engines[-1].key
    )
    _, key = cli._opened(tmp_path / "model", "auto", build_if_missing=True, allow_bundled_code=False)
    assert key == "tensorrt-10.6.0-sm_86-float16"
    assert machine == ["conditioner", "denoiser"]
    tensorrt_engine.build(Bundle.open(tmp_path / "model"), tensorrt_target.Options("bfloat16"))
    _, key = cli._opened(tmp_path / "model", "auto", build_if_missing=True, allow_bundled_code=False)
    assert key == "tensorrt-10.6.0-sm_86-bfloat16"
    assert machine == ["conditioner", "denoiser"] * 2


@pytest.mark.parametrize("refit", [True, False])
def test_an_update_refits_engines_that_can_be(machine, tiny_bundle, golden, tmp_path, refit):
    shutil.copytree(tiny_bundle.path, tmp_path / "model")
    options = tensorrt_target.Options("float16", refit=refit)
    old = tensorrt_engine.build(Bundle.open(tmp_path / "model"), options).engine
    tensors = checkpoint.load(golden / "tiny.pth").tensors
    name = "final_layer.linear.bias"
    torch.save(tensors | {name: tensors[name] + 1}, tmp_path / "new.pth")
    lines: list[str] = []
    updated = update(tmp_path / "model", tmp_path / "new.pth", report=lines.append)
    if not refit:
        assert updated.manifest.engines == []
        assert f"dropped {old.key}: it was built without --refit; build it again: fdcn build" in lines[-1]
        return
    (engine,) = Bundle.open(tmp_path / "model").manifest.engines
    assert lines[-1] == f"updated {engine.key}"
    for graph in engine.graphs.values():
        assert updated.graph(graph).read_bytes() == b"an engine refitted"
    assert engine.target.onnx_sha256 != old.target.onnx_sha256
    assert not tensorrt_engine.build(updated, options).fresh
    on_disk = {str(path.relative_to(updated.path)) for path in updated.path.rglob("*") if path.is_file()}
    assert on_disk == {*updated.manifest.files, MANIFEST}


def test_without_a_gpu_nothing_is_built(tiny_bundle, monkeypatch):
    monkeypatch.setattr("fdcn.gpu.first", lambda: None)
    assert on_demand.with_engine(tiny_bundle) is tiny_bundle
