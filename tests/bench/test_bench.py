"""`fdcn bench` on the command line."""

import json
import os
import re
import shutil
import stat

import pytest
from PIL import Image
from tampering import tamper

from fdcn.bench.report import load
from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime

SHORT = ("--size", "64x48", "--steps", 5, "--repeats", 2, "--batch", 1)


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


def test_measures_every_case_and_writes_all(fdcn, tmp_path, built):
    sizes = ("--size", "64x48", "--size", "40x40", "--batch", 1, "--batch", 3)
    done = fdcn("bench", *sizes, "--steps", 5, "--repeats", 2, "--json", "a.json", "--plot", "a.png")
    assert done.returncode == 0, done.stderr
    (engine,) = built.manifest.engines
    result = load(tmp_path / "a.json")
    assert not result.failures
    places = [(row.what, row.size, row.batch, row.steps) for row in result.rows]
    cases = [("64x48", 1), ("64x48", 3), ("40x40", 1), ("40x40", 3)]
    assert places == [place for case in cases for place in (("network", *case, 1), ("picture", *case, 5))]
    for row in result.rows:
        assert (row.engine, row.backend, row.precision) == (engine.key, "onnxruntime", "float32")
        assert len(row.samples) == 2
        assert row.rows == 2 * row.batch
        if row.what == "network":
            assert row.check["velocity_cosine"] > 0.999999
            assert sum(row.layers.values()) == pytest.approx(1.0)
            assert {"GEMM", "operator"} <= row.layers.keys()
            assert row.work.flop > 0
        else:
            assert row.check["picture_psnr"] > 40
            assert 0 < row.encoding < 1
            assert row.device_memory is None
            assert row.resident > 30e6
    assert result.limits[0].device == "cpu"
    assert result.machine["gpu"] is None
    assert result.model["weights_sha256"] == built.manifest.model.weights_sha256
    for words in (engine.key, "64x48", "pictures/s", "limit cpu in float32"):
        assert words in done.stdout
    with Image.open(tmp_path / "a.png") as plot:
        assert plot.format == "PNG"
    again = fdcn("bench", "--compare", "a.json", "a.json")
    assert again.returncode == 0, again.stderr
    assert len(re.findall(r"1\.00", again.stdout)) == len(result.rows)


def test_a_named_engine_and_the_portable_graphs(fdcn, tmp_path, built):
    (engine,) = built.manifest.engines
    done = fdcn("bench", built.path, *SHORT, "--engine", "portable", "--engine", engine.key, "--json", "a.json")
    assert done.returncode == 0, done.stderr
    result = load(tmp_path / "a.json")
    assert [row.engine for row in result.rows] == ["portable"] * 2 + [engine.key] * 2


def test_an_engine_of_other_weights_is_not_timed(fdcn, tmp_path, built):
    tamper(built)
    done = fdcn("bench", *SHORT, "--engine", built.manifest.engines[0].key, "--engine", "portable", "--json", "a.json")
    assert done.returncode == 1
    assert "error: not timed:" in done.stderr
    assert "fdcn verify" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    result = load(tmp_path / "a.json")
    assert {row.engine for row in result.rows} == {"portable"}
    assert "64x48x1" in result.failures[0]


def test_where_only_an_engine_library_is_installed(fdcn, built, tmp_path):
    missing = ("torch", "onnx", "onnx_ir", "onnxscript", "polygraphy", "matplotlib", "cuda", "ml_dtypes")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {missing!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = fdcn("bench", *SHORT, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    done = fdcn("bench", *SHORT, "--plot", "a.png", env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 1
    assert done.stderr.strip() == "error: this needs matplotlib, which is not installed: pip install 'fdcn[verify]'"


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("missing",), 1, "missing"),
        (("--engine", "nothing"), 1, "has no engine called 'nothing'; there are portable, onnxruntime-"),
        (("--engine", "portable", "--backend", "tensorrt"), 1, "portable is for onnxruntime, not tensorrt"),
        (("--backend", "tensorrt"), 1, "there is none here"),
        (("--solver", "heum", "--steps", 3), 1, "heun"),
        (("--size", "0x5"), 2, "has no pixels"),
        (("--size", "900000x900000"), 1, "choose a smaller --size or --batch"),
        (("--batch", "0"), 2, "--batch"),
        (("--seconds", "0"), 2, "--seconds"),
        (("--repeats", "0"), 2, "--repeats"),
        (("--json", "missing/a.json"), 1, "missing is not a folder"),
        (("--plot", "missing/a.png"), 1, "missing is not a folder"),
        (("--compare", "a.json", "b.json"), 1, "cannot read a.json"),
        (("--compare", "a.json"), 2, "--compare"),
        (("--compare", "a.json", "b.json", "--json", "c.json"), 2, "leave out --json"),
    ],
)
def test_bad_options(fdcn, built, options, status, says):
    done = fdcn("bench", *options)
    assert done.returncode == status
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_size_that_a_fixed_bundle_does_not_take(fdcn, built):
    manifest = built.path / "manifest.json"
    content = json.loads(manifest.read_text())
    content["fixed_size"] = [64, 64]
    manifest.write_text(json.dumps(content))
    done = fdcn("bench", "--size", "128x64")
    assert done.returncode == 1
    assert "exported for 64x64 alone" in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(fdcn, built, tmp_path):
    (tmp_path / "locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    done = fdcn("bench", *SHORT, "--json", "locked/a.json")
    assert done.returncode == 1
    assert "is not writable" in done.stderr
