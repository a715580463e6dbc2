"""`fdcn verify` on the command line."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tampering import tamper

from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
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
    (compared,) = report["candidates"]
    assert [len(rung["rows"]) for rung in compared["rungs"]] == [6, 2, 10, 2]
    assert all(row["values"]["psnr"] is None or row["values"]["psnr"] > 90 for row in compared["rungs"][2]["rows"])
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
    (compared,) = report["candidates"]
    passed = {rung["name"]: rung["passed"] for rung in compared["rungs"]}
    assert passed["operator"]
    assert passed["conditioner"]
    assert not passed["velocity"]
    assert compared["side"]["artifact"] == engine.key


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


def test_candidates_are_judged_and_reported(fdcn, tmp_path, calibrated_bundle):
    judge = ("--classifier", BENCHMARKS / "classifier.onnx", "--reference", BENCHMARKS / "reference.npz")
    words = ("verify", calibrated_bundle.path, "--candidate", "onnxruntime-int8")
    short = ("--solver", "euler", "--steps", 2, "--guidance", 1, "--size", "28x28", "--label", "Bag")
    files = ("--html", "report.html", "--json", "report.json", "--plot", "plot.png")
    environment = {**os.environ, "FDCN_CACHE": str(tmp_path / "cache")}
    done = fdcn(*words, *judge, *short, "--pictures", 100, *files, env=environment)
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.returncode == (not report["passed"]), done.stderr
    assert report["settings"]["pictures"] == 100
    (compared,) = report["candidates"]
    assert compared["side"]["precision"] == "int8"
    rung = compared["rungs"][-1]
    assert rung["name"] == "distribution"
    assert rung["limits"] == {"accuracy_lost": 0.01, "frechet_grown": 0.05}
    assert [row["at"]["metric"] for row in rung["rows"]] == ["accuracy", "frechet", "precision", "recall"]
    for row in rung["rows"]:
        assert row["values"]["low"] <= row["values"]["change"] <= row["values"]["high"]
    assert "onnxruntime-int8" in (tmp_path / "report.html").read_text()
    assert "accuracy lost ≤ 1.00%" in done.stdout
    assert len(list((tmp_path / "cache").glob("verdicts-*.npz"))) == 2


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (("missing.onnx", BENCHMARKS / "reference.npz"), "cannot load the classifier missing.onnx"),
        ((BENCHMARKS / "classifier.onnx", "missing.npz"), "missing.npz is no reference of real pictures"),
    ],
)
def test_a_missing_judge_is_said_before_anything_runs(fdcn, built, files, says):
    done = fdcn("verify", "--classifier", files[0], "--reference", files[1])
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stdout == ""


def test_nothing_to_compare(fdcn, tiny_bundle):
    done = fdcn("verify", tiny_bundle.path)
    assert done.returncode == 1
    assert "are the same here" in done.stderr
    assert f"fdcn build {tiny_bundle.path}" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("--against", "nothing"), 1, "has nothing called 'nothing'"),
        (("--reference", "nothing"), 2, "what is right is named by --against NAME"),
        (("--classifier", "classifier.onnx"), 2, "--classifier FILE.onnx and --reference FILE.npz go together"),
        (("--pictures", "10"), 2, "--pictures"),
        (("--html", "missing/report.html"), 1, "missing is not a folder"),
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
