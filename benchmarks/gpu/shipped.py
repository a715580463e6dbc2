"""Bundles of the shipped checkpoint with an engine each, and the command line, for the checks of stage gpu-engine."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from stages import ROOT

from fdcn import gpu
from fdcn.bundle import Bundle
from fdcn.export.exporter import export
from fdcn.export.tensorrt_engine import build
from fdcn.export.tensorrt_target import Options
from fdcn.runtime.backends.trt import TensorRT, open_engine

CHECKPOINT = ROOT / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"


def exported(work: Path) -> Bundle:
    """The shipped checkpoint's bundle, without an engine."""
    path = work / "exported"
    return Bundle.open(path) if (path / "manifest.json").exists() else export(CHECKPOINT, path)


def built(work: Path, plugin: str, precision: str) -> tuple[Bundle, float | None]:
    """A bundle of its own with one engine, and the seconds of building it, where it was not there already."""
    path = work / f"{plugin}-{precision}"
    bundle = Bundle.open(path) if (path / "manifest.json").exists() else copied(exported(work), path)
    start = time.perf_counter()
    done = build(bundle, Options(precision=precision, plugin=plugin))
    return done.bundle, time.perf_counter() - start if done.fresh else None


def copied(bundle: Bundle, path: Path) -> Bundle:
    """A fresh copy of a bundle."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(bundle.path, path)
    return Bundle.open(path)


def device() -> gpu.Gpu:
    """This machine's GPU."""
    found = gpu.first()
    assert found is not None
    return found


def load(bundle: Bundle) -> TensorRT:
    """A bundle's newest engine."""
    return open_engine(bundle, device())


def evaluate(backend: TensorRT, bundle: Bundle, width: int, height: int, batch: int) -> None:
    """One evaluation at a size in pixels; AssertionError where it is not finite."""
    rng, model, factor = np.random.default_rng(0), bundle.manifest.model, bundle.manifest.pixel_factor
    modulation, final = backend.condition(np.full(1, 0.5, np.float32), np.arange(batch) % model.classes)
    latent = rng.standard_normal((batch, model.channels, height // factor, width // factor), np.float32)
    s_max = np.full((batch, model.blocks, 2), bundle.manifest.sampling.reach, np.float32)
    velocity = backend.denoise("denoiser", latent, modulation, final, s_max)
    assert velocity.shape == latent.shape
    assert np.isfinite(velocity).all(), f"{width}x{height}x{batch} is not finite"


def command(*words: object) -> list[str]:
    """A command of fdcn, for subprocess."""
    return [sys.executable, "-m", "fdcn.cli", *map(str, words)]


def fdcn(*words: object) -> str:
    """Run the command line; what it printed. Raises AssertionError with its error where it fails."""
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"fdcn {' '.join(map(str, words))}: {done.stderr.strip()[-400:]}"
    return done.stdout
