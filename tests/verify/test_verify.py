"""`fdcn verify` on the command line."""

import json
import os
import shutil

import pytest
from PIL import Image
from tampering import tamper

from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime

SHORT = ("--size", "24x16", "--size", "40x40", "--label", 3, "--steps", 5)


@pytest.fixture(scope="module")
def once(tiny_bundle, tmp_path_factory):
    """The tiny bundle with graphs optimised ahead of time. Read only."""
    path = tmp_path_factory.mktemp("built") / "tiny"
    shutil.copytree(tiny_bundle.path, path)
    return build_onnxruntime(Bundle.open(path), native=False)


@pytest.fixture
def built(once, tmp_path):
    """A copy of it, under the name that commands take by default."""
    shutil.copytree(once.path, tmp_path / "fdcn-model")
    return Bundle.open(tmp_path / "fdcn-model")


def test_optimised_graphs_agree_with_the_portable_ones(fdcn, tmp_path, built):
    done = fdcn("verify", *SHORT, "--json", "report.json", "--plot", "plot.png")
    assert done.returncode == 0, done.stderr
    (engine,) = built.manifest.engines
    for words in (
        "operator",
        "velocity",
        "picture",
        engine.key,
        "24x16",
        "40x40",
        "auto agrees with onnxruntime-portable",
    ):
        assert words in " ".join(done.stdout.split())
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] is True
    assert report["weights_sha256"] == built.manifest.model.weights_sha256
    assert [len(rung["rows"]) for rung in report["rungs"]] == [6, 2, 10, 2]
    assert all(row["values"]["psnr"] is None or row["values"]["psnr"] > 90 for row in report["rungs"][2]["rows"])
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.format == "PNG"


def test_an_engine_of_other_weights_fails(fdcn, tmp_path, built):
    (engine,) = built.manifest.engines
    tamper(built)
    assert fdcn("run", "--size", "24x16", "--label", 3, "--steps", 5).returncode == 0  # which notices nothing
    done = fdcn("verify", *SHORT, "--json", "report.json")
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "error: auto is too far from onnxruntime-portable" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] is False
    passed = {rung["name"]: rung["passed"] for rung in report["rungs"]}
    assert passed["operator"]
    assert passed["conditioner"]
    assert not passed["velocity"]
    assert report["candidate"]["artifact"] == engine.key


def test_half_precision_of_a_chaotic_network_fails(fdcn, tiny_bundle):
    # Random weights with long reaches: rounding moves taps over the operator's discontinuity.
    done = fdcn("verify", tiny_bundle.path, "--candidate", "onnxruntime-fp16", *SHORT)
    assert done.returncode == 1
    assert "cosine ≥ 0.9999" in done.stdout
    assert "too far from onnxruntime-portable" in done.stderr


def test_half_precision_of_a_trained_network_passes(fdcn, shipped_bundle):
    options = ("--size", "28x28", "--label", "Sneaker", "--label", "Bag", "--steps", 5)
    done = fdcn("verify", shipped_bundle.path, "--candidate", "onnxruntime-fp16", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "28x28" in done.stdout
    assert "Sneaker" in done.stdout


def test_nothing_to_compare(fdcn, tiny_bundle):
    done = fdcn("verify", tiny_bundle.path)
    assert done.returncode == 1
    assert "are the same here" in done.stderr
    assert f"fdcn build {tiny_bundle.path}" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("--reference", "nothing"), 1, "has nothing called 'nothing'"),
        (("--solver", "heum", "--steps", 3), 1, "heun"),
        (("--label", "99"), 1, "class 99 does not exist"),
        (("--size", "0x5"), 2, "has no pixels"),
        (("--count", "0"), 2, "--count"),
        (("--json", "missing/report.json"), 1, "missing is not a folder"),
        (("--plot", "missing/plot.png"), 1, "missing is not a folder"),
    ],
)
def test_bad_options(fdcn, built, options, status, says):
    done = fdcn("verify", *options)
    assert done.returncode == status
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("missing", "options"), [("polygraphy", ()), ("matplotlib", ("--plot", "plot.png")), ("onnx", ())]
)
def test_missing_packages_are_said(fdcn, built, tmp_path, missing, options):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = fdcn("verify", *SHORT, *options, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: this needs {missing}, which is not installed: pip install 'fdcn[verify]'"
