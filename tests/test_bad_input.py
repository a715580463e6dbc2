"""Bad input through the command line: one line that says what to do, status 1 or 2, and nothing half-written."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdcn.bundle import MANIFEST, Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.solvers import SOLVERS


def assert_refused(done, status, *says):
    """The process ended with this status and one line on stderr that holds every word of `says`."""
    assert done.returncode == status, (done.returncode, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for words in says:
        assert words in lines[0], lines[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--size", "0x0"], "no pixels"),
        (["--size", "512"], "512x256"),
        (["--size", "512×abc"], "512x256"),
        (["--count", "0"], "--count"),
        (["--seed", "x"], "--seed"),
        (["--guidance-interval", "0.8:0.2"], "LO:HI"),
        (["--guidance-interval", "nan:1"], "LO:HI"),
        (["--guidance-channels", "2"], "--guidance-channels"),
        (["--backend", "cuda"], "--backend"),
        (["--colour", "red"], "--colour"),
        (["--preview-every", "0"], "--preview-every"),
    ],
)
def test_usage(fdcn, shipped_bundle, options, says):
    assert_refused(fdcn("run", shipped_bundle.path, *options), 2, says, "--help")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--label", "Snaeker"], "'Sneaker'"),
        (["--label", "boot"], "'Ankle boot'"),
        (["--label", "10"], "0 to 9"),
        (["--label", "-1"], "0 to 9"),
        (["--label", "xyzzy"], "0 to 9"),
        (["--solver", "neural", "--steps", "4"], "5, 6, 7, 8, 9, 10 or 15"),
        (["--solver", "eulr"], "euler"),
        (["--solver", "euler"], "--steps"),
        (["--solver", "euler", "--steps", "0"], "1 to"),
        (["--solver", "euler", "--steps", "5", "--last-step", "1"], "between 0 and 1"),
        (["--steps", "5", "--last-step", "0.1"], "--last-step"),
        (["--guidance", "nan"], "finite"),
        (["--size", "900000x900000"], "GB"),
        (["--backend", "tensorrt"], "--backend onnxruntime"),
        (["-o", "missing/a.png"], "missing"),
        (["-o", "a.tiff"], ".png"),
        (["--latents", "missing/a.npy"], "missing"),
        (["--noise", "missing.npy"], "no such file"),
    ],
)
def test_requests(fdcn, tmp_path, shipped_bundle, options, says):
    assert_refused(fdcn("run", shipped_bundle.path, *options), 1, says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((1, 1, 3, 4), np.float32), "multiples of 2"),
        (np.zeros((1, 2, 4, 4), np.float32), "expected [images, 1, height, width]"),
        (np.zeros((4, 4), np.float32), "expected"),
        (np.zeros((0, 1, 4, 4), np.float32), "expected"),
        (np.full((1, 1, 4, 4), np.nan, np.float32), "finite"),
        (np.zeros((1, 1, 4, 4), complex), "real"),
        (np.zeros((3, 1, 4, 4), np.float32), "one label, or 3"),
        (np.array([[{}]], object), "numpy.save"),
    ],
)
def test_noise_files(fdcn, tmp_path, shipped_bundle, array, says):
    np.save(tmp_path / "noise.npy", array)
    assert_refused(fdcn("run", shipped_bundle.path, "--noise", "noise.npy"), 1, says)


def test_a_size_that_the_noise_is_not_for(fdcn, tmp_path, shipped_bundle):
    np.save(tmp_path / "noise.npy", np.zeros((1, 1, 28, 56), np.float32))
    done = fdcn("run", shipped_bundle.path, "--noise", "noise.npy", "--label", 0, "--size", "28x28")
    assert_refused(done, 1, "56x28")


@pytest.mark.parametrize("verb", ["run", "build", "inspect"])
def test_bundles_that_are_none(fdcn, tmp_path, shipped_bundle, verb):
    assert_refused(fdcn(verb), 1, "fdcn export")
    (tmp_path / "empty").mkdir()
    assert_refused(fdcn(verb, "empty"), 1, "not a bundle")
    shutil.copytree(shipped_bundle.path, tmp_path / "damaged")
    (data,) = (tmp_path / "damaged").rglob("denoiser.onnx.data")
    data.write_bytes(data.read_bytes()[:-100])
    assert_refused(fdcn(verb, "damaged"), 1, "denoiser.onnx.data", "bytes", "fdcn export")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("text.pth", b"hello", "wanted .pth"),
        ("empty.pth", b"", "empty.pth"),
        ("half.safetensors", b"\x10\0\0\0\0\0\0\0{", "copy it again"),
    ],
)
def test_files_that_are_no_checkpoints(fdcn, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    assert_refused(fdcn("export", name), 1, name, says)
    assert_refused(fdcn("export", "missing.pth"), 1, "no such checkpoint")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_checkpoint_of_something_else(fdcn, tmp_path):
    torch.save({"conv1.weight": torch.zeros(2, 3)}, tmp_path / "resnet.pth")
    assert_refused(fdcn("export", "resnet.pth"), 1, "flowdcn", "conv1.weight [2, 3]")
    assert_refused(fdcn("export", "resnet.pth", "--size", "8x8", "--dynamic-shape"), 2, "--size")


def test_output_folders_that_cannot_be_written(fdcn, tmp_path, golden):
    (tmp_path / "file").write_text("not a folder")
    assert_refused(fdcn("export", golden / "tiny.pth", "-o", "file/model"), 1, "cannot write", "-o")
    assert_refused(fdcn("export", golden / "tiny.pth", "-o", "/proc/fdcn-model"), 1, "cannot write", "-o")


def copy_with_old_manifest(bundle, folder):
    """A bundle with a mark by which its old state is known."""
    shutil.copytree(bundle.path, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["fdcn"] = "old"
    (folder / MANIFEST).write_text(json.dumps(manifest))


def assert_old(folder):
    bundle = Bundle.open(folder)
    assert bundle.manifest.fdcn == "old"
    for name in bundle.manifest.files:
        bundle.file(name)


def test_a_full_disk_leaves_the_old_bundle(fdcn, tmp_path, golden, tiny_bundle):
    copy_with_old_manifest(tiny_bundle, tmp_path / "model")
    limit = 500_000  # bytes a file may have: the weights do not fit

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = fdcn("export", golden / "tiny.pth", "-o", "model", preexec_fn=small_disk)
    assert_refused(done, 1, "model")
    assert_old(tmp_path / "model")
    assert not list((tmp_path / "model").glob(".incoming*"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_export_leaves_the_old_bundle(tmp_path, golden, tiny_bundle, how):
    """Killed at several moments, the last of them while graphs are being written."""
    folder = tmp_path / "model"
    copy_with_old_manifest(tiny_bundle, folder)
    for wait_for in ("incoming", "conditioner.onnx"):
        process = subprocess.Popen(
            [sys.executable, "-m", "fdcn.cli", "export", str(golden / "tiny.pth"), "-o", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        pattern = ".incoming*" if wait_for == "incoming" else f".incoming*/{wait_for}"
        seen = set(folder.glob(pattern))
        while not set(folder.glob(pattern)) - seen and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
        assert process.returncode not in (0, None)
        assert_old(folder)
        if how == signal.SIGINT:
            assert process.returncode == 1
            assert errors.strip().splitlines()[-1].startswith("error: interrupted")
            assert not list(folder.glob(".incoming*"))


LABELS = st.sampled_from([0, 9, "Bag", "bag", "10", "-1", "nothing", 3.5])
OPTIONS = {
    "labels": st.none() | st.lists(LABELS, max_size=2),
    "count": st.integers(-1, 2),
    "size": st.none() | st.tuples(st.integers(-1, 40), st.integers(0, 40)),
    "seed": st.integers(-(2**70), 2**70),
    "seeds": st.none() | st.lists(st.integers(), max_size=2),
    "solver": st.none() | st.sampled_from([*SOLVERS, "ddim"]),
    "steps": st.none() | st.integers(-1, 6),
    "last_step": st.none() | st.floats(),
    "guidance": st.none() | st.floats(),
    "guidance_channels": st.sampled_from(["all", "3", "x"]),
    "guidance_interval": st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
    "s_max_adjust": st.none() | st.booleans(),
    "preview_every": st.integers(-1, 3),
}


@pytest.fixture(scope="module")
def pipe(shipped_bundle):
    from fdcn.runtime.pipeline import Pipeline

    return Pipeline(shipped_bundle)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(options=st.fixed_dictionaries({}, optional=OPTIONS))
def test_any_request_is_a_picture_or_a_sentence(pipe, options):
    if options.get("labels") is None:
        options["labels"] = ["Bag"]  # ten classes by default: slow
    try:
        images = pipe(**options)
    except FdcnError as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        width, height = options.get("size") or (28, 28)
        assert images.pixels.shape[1:] == (height, width, 1)
        assert np.isfinite(images.latents).all()


def test_an_interrupted_run_writes_nothing(tmp_path, shipped_bundle):
    process = subprocess.Popen(
        [sys.executable, "-m", "fdcn.cli", "run", str(shipped_bundle.path), "--solver", "euler", "--steps", "5000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert "ONNX Runtime" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.strip() == "error: interrupted; nothing was left half-written"
    assert list(tmp_path.iterdir()) == []
