"""Bundles that many tests share, exported once a run."""

import subprocess
import sys
from pathlib import Path

import pytest

from fdcn.bundle import Bundle

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
SHIPPED = ROOT / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"


@pytest.fixture(scope="session")
def golden():
    """Folder of the arrays that FlowDCN's own code computed."""
    return GOLDEN


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Bundle:
    """`golden/tiny.pth`, exported: 11 blocks, 4 latent channels, 10 classes without names. Read only."""
    from fdcn.export.exporter import export

    return export(GOLDEN / "tiny.pth", tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def shipped_bundle(tmp_path_factory) -> Bundle:
    """The shipped checkpoint, exported: pixel space, 10 named classes. Read only."""
    from fdcn.export.exporter import export

    return export(SHIPPED, tmp_path_factory.mktemp("bundles") / "shipped")


@pytest.fixture
def fdcn(tmp_path):
    """Run the command line in a process of its own: fdcn("run", …) → completed process, in an empty folder."""

    def run(*words: object, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "fdcn.cli", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, **options)

    return run
