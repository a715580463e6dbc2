"""Bundles that many tests share, exported once a run."""

import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fdcn.bundle import Bundle

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
SHIPPED = ROOT / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"


@pytest.fixture(scope="session")
def golden(tmp_path_factory) -> Path:
    """Folder of the arrays that FlowDCN's own code computed, and `tiny.pth`, its checkpoint. Read only."""
    folder = tmp_path_factory.mktemp("golden")
    for file in GOLDEN.glob("*.npz"):
        shutil.copy(file, folder)
    (folder / "tiny.pth").write_bytes(lzma.decompress((GOLDEN / "tiny.pth.xz").read_bytes()))
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory, golden) -> Bundle:
    """`golden/tiny.pth`, exported: 11 blocks, 4 latent channels, 10 classes without names. Read only."""
    from fdcn.export.exporter import export

    return export(golden / "tiny.pth", tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def shipped_bundle(tmp_path_factory) -> Bundle:
    """The shipped checkpoint, exported: pixel space, 10 named classes. Read only."""
    from fdcn.export.exporter import export

    return export(SHIPPED, tmp_path_factory.mktemp("bundles") / "shipped")


@pytest.fixture(scope="session")
def calibrated_bundle(tmp_path_factory, shipped_bundle) -> Bundle:
    """The shipped checkpoint, exported and calibrated for INT8 and FP8; see `calibrated`. Read only."""
    from calibrated import calibrated

    return calibrated(shipped_bundle, tmp_path_factory.mktemp("bundles") / "calibrated")


@pytest.fixture(scope="session")
def rtx():
    """TensorRT-RTX, which builds engines with no GPU."""
    from fdcn.errors import FdcnError
    from fdcn.plugins import flavours

    try:
        return flavours.load("tensorrt-rtx")
    except FdcnError as error:
        pytest.skip(f"TensorRT-RTX was not tested: {error}")


@pytest.fixture(scope="session", autouse=True)
def _empty_cache(tmp_path_factory):
    """What the user's cache holds must not matter: the operator is the portable one unless a test asks for another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FDCN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def native_cache(tmp_path_factory) -> Path:
    """A cache folder, for FDCN_CACHE, in which the native operator for ONNX Runtime has been built."""
    folder = tmp_path_factory.mktemp("native-cache")
    command = [sys.executable, "-m", "fdcn.plugins.libraries", "ops"]
    done = subprocess.run(command, env=os.environ | {"FDCN_CACHE": str(folder)}, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the native operator was not tested: {done.stderr}")
    return folder


@pytest.fixture(scope="session")
def ops_library(native_cache) -> Path:
    """`libfdcn_ops.so`, built from the sources at hand."""
    (library,) = native_cache.glob("*.so")
    return library


@pytest.fixture
def native_operator(native_cache, monkeypatch):
    """Let fdcn find the native operator, built; `libraries.find` says the same all through a process."""
    from fdcn.plugins import libraries

    monkeypatch.setenv("FDCN_CACHE", str(native_cache))
    libraries.find.cache_clear()
    yield
    libraries.find.cache_clear()


@pytest.fixture
def fdcn(tmp_path):
    """Run the command line in a process of its own: fdcn("run", …) → completed process, in an empty folder."""

    def run(*words: object, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "fdcn.cli", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, **options)

    return run
