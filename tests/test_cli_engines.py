"""`fdcn build --gpu`, `update` and `bundle merge` through the command line, on a machine that may have no GPU."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

SHIPPED = Path(__file__).parents[1] / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"


@pytest.fixture
def model(shipped_bundle, tmp_path):
    """A copy of the shipped bundle, under the name that commands take by default."""
    shutil.copytree(shipped_bundle.path, tmp_path / "fdcn-model")
    return tmp_path / "fdcn-model"


def engines(fdcn):
    return json.loads(fdcn("inspect", "--json").stdout)["engines"]


def test_build_for_other_machines_merge_and_inspect(rtx, fdcn, model, tmp_path):
    shutil.copytree(model, tmp_path / "other")
    words = ("build", "--fp16", "--gpu", "sm_86", "--plugin", "python", "--profile", "28x28:28x28:56x56x20")
    done, again = fdcn(*words), fdcn(*words)
    assert done.returncode == again.returncode == 0, done.stderr + again.stderr
    key = f"tensorrt-rtx-{rtx.version}-sm_86-float16"
    assert f"built {key} for 28x28x1:28x28x2:56x56x20; operator: python" in done.stdout
    assert "next: on a machine with that GPU: fdcn run --size 56x28" in done.stdout
    assert f"nothing to do, there is {key}" in again.stdout
    other = fdcn("build", "other", "--bf16", "--gpu", "sm_89,sm_120", "--plugin", "python")
    assert other.returncode == 0, other.stderr
    merged = fdcn("bundle", "merge", "fdcn-model", "other")
    assert merged.returncode == 0, merged.stderr
    assert [engine["key"] for engine in engines(fdcn)] == [key, f"tensorrt-rtx-{rtx.version}-sm_89-sm_120-bfloat16"]
    table = fdcn("inspect")
    assert table.returncode == 0, table.stderr
    for words in (f"tensorrt-rtx {rtx.version}", "for sm_89, sm_120", "bfloat16", "28x28x1:28x28x2:56x56x20", "python"):
        assert words in table.stdout, table.stdout


def test_update(fdcn, model, tmp_path):
    tensors, name = load_file(SHIPPED), "final_layer.linear.bias"
    save_file(tensors | {name: tensors[name] + 1}, tmp_path / "new.safetensors")
    first = fdcn("build", "--backend", "onnxruntime")
    assert first.returncode == 0, first.stderr
    before = json.loads((model / "manifest.json").read_text())["model"]["weights_sha256"]
    done = fdcn("update", "fdcn-model", "new.safetensors")
    assert done.returncode == 0, done.stderr
    (engine,) = engines(fdcn)
    assert f"updated {engine['key']}" in done.stdout
    assert json.loads((model / "manifest.json").read_text())["model"]["weights_sha256"] != before
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    refused = fdcn("update", "fdcn-model", "other.pth")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")


def test_the_same_build_for_the_cpu_twice(fdcn, model):
    words = ("build", "--backend", "onnxruntime")
    first, again = fdcn(*words), fdcn(*words)
    (engine,) = engines(fdcn)
    assert f"built {engine['key']}" in first.stdout
    assert f"nothing to do, there is {engine['key']}" in again.stdout
    assert "--fp16 --gpu sm_86" in first.stdout


def test_int8_on_the_cpu(fdcn, calibrated_bundle, tmp_path):
    shutil.copytree(calibrated_bundle.path, tmp_path / "fdcn-model")
    words = ("build", "--int8", "--backend", "onnxruntime")
    first, again = fdcn(*words), fdcn(*words)
    (engine,) = engines(fdcn)
    assert engine["key"].endswith("-function-int8")
    assert first.stdout.splitlines()[0] == "55 of 57 products in INT8"
    assert f"built {engine['key']}; next: fdcn run --size 56x28" in first.stdout
    assert f"nothing to do, there is {engine['key']}" in again.stdout
    table = fdcn("inspect").stdout
    for said in ("calibration", "for int8, fp8: 2 samples of 28x28, euler, 4 steps, guidance 4", "recipe fp8"):
        assert said in table, table
    picture = fdcn("run", "--backend", "onnxruntime", "--label", 3, "--steps", 5)
    assert "int8 engine's graphs" in picture.stdout, picture.stderr


def test_quantised_engines_for_other_machines(rtx, fdcn, calibrated_bundle, tmp_path):
    shutil.copytree(calibrated_bundle.path, tmp_path / "fdcn-model")
    done = fdcn("build", "--fp8", "--gpu", "sm_89", "--plugin", "python", "--profile", "28x28:28x28:28x28")
    assert done.returncode == 0, done.stderr
    assert f"built tensorrt-rtx-{rtx.version}-sm_89-fp8 for " in done.stdout
    assert "in the parsed network: 55 of 57 products in FP8" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--int8", "--backend", "onnxruntime"], "holds no calibration for --int8; run fdcn calibrate"),
        (["--fp8", "--backend", "onnxruntime"], "fdcn build --fp8 --gpu sm_89; or take --int8"),
        (["--fp8", "--gpu", "sm_86"], "sm_86 has no FP8, which GPUs have from sm_89 on; build for it with --int8 or"),
    ],
)
def test_what_quantised_engines_lack(fdcn, model, options, says):
    done = fdcn("build", *options)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--gpu", "86"], "such as sm_86,sm_89"),
        (["--gpu", "sm_86,"], "such as sm_86,sm_89"),
        (["--profile", "56x56:28x28:28x28"], "width goes down from 56x56x1 to 28x28x2"),
        (["--profile", "28x28"], "MIN:OPT:MAX"),
        (["--profile", "28x28x0:28x28:28x28"], "empty batch"),
        (["--plugin", "rust"], "--plugin"),
        (["--workspace", "0"], "--workspace"),
        (["--gpu", "sm_86", "--backend", "onnxruntime"], "leave out --backend"),
        (["--backend", "onnxruntime", "--refit"], "--refit is for a GPU"),
        (["--backend", "onnxruntime", "--plugin", "none"], "--plugin is for a GPU"),
    ],
)
def test_usage(fdcn, model, options, says):
    done = fdcn("build", *options)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "--help" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--gpu", "sm_12"], "cannot build for sm_12"),
        (["--gpu", "sm_86", "--profile", "27x28:28x28:28x28"], "take 26x28 or 28x28"),
        (["--gpu", "sm_86", "--plugin", "aot"], "--plugin library or --plugin python"),
    ],
)
def test_what_cannot_be_built(rtx, fdcn, model, options, says):
    done = fdcn("build", *options)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert len(list(model.iterdir())) == 2


def test_an_interrupted_build_leaves_nothing(rtx, model):
    command = [sys.executable, "-m", "fdcn.cli", "build", "--fp16", "--gpu", "sm_86", "--plugin", "none"]
    process = subprocess.Popen(command, cwd=model.parent, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not any(model.glob(".incoming-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the process that builds gets it, too
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.strip() == "error: interrupted; nothing was left half-written"
    assert {path.name.split("-")[0] for path in model.iterdir()} == {"graphs", "manifest.json"}


def test_a_build_that_runs_out_of_memory(rtx, fdcn, model):
    import resource

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))

    done = fdcn("build", "--fp16", "--gpu", "sm_86", "--plugin", "python", preexec_fn=little)
    assert done.returncode == 1
    assert "memory" in done.stderr
    assert "--profile" in done.stderr
    assert {path.name.split("-")[0] for path in model.iterdir()} == {"graphs", "manifest.json"}
