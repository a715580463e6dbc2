"""What stage gpu-engine checks of engines themselves: what they compute, at which sizes, with which weights."""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from beside import compare
from safetensors import safe_open
from safetensors.numpy import save_file
from shipped import CHECKPOINT, built, copied, device, evaluate, exported, fdcn, load
from stages import Failed

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.plugins import flavours, libraries
from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.backends.trt import TensorRT


def library(work: Path) -> dict[str, Any]:
    """Compile the plugin's library with this machine's CUDA."""
    start = time.perf_counter()
    path = libraries.build("tensorrt")
    return {"seconds": time.perf_counter() - start, "bytes": path.stat().st_size}


def compared(work: Path, plugin: str, precision: str, operator: str | None) -> dict[str, Any]:
    """Build one engine and compare it with ONNX Runtime at five sizes and three batches."""
    bundle, seconds = built(work, plugin, precision)
    engine = bundle.manifest.engines[-1]
    opened = TensorRT(bundle, engine, device(), operator) if operator else load(bundle)
    told = {
        "backend": opened.name,
        "build_seconds": seconds,
        "bytes": {name: bundle.manifest.files[graph.file].bytes for name, graph in engine.graphs.items()},
    }
    return told | close_enough(bundle, opened, precision)


def close_enough(bundle: Bundle, opened: TensorRT, precision: str) -> dict[str, Any]:
    """A comparison's numbers. Raises Failed where they are not good enough."""
    numbers, complaints = compare(bundle, OnnxRuntime(bundle), opened, precision)
    if complaints:
        raise Failed("; ".join(complaints), {"backend": opened.name, "against_onnxruntime": numbers})
    return {"against_onnxruntime": numbers}


def profile_edges(work: Path) -> dict[str, Any]:
    """Every corner of a profile runs; a step outside it names the command that adds it, and that command does."""
    bundle = copied(built(work, "auto", "float16")[0], work / "edges")
    opened = load(bundle)
    target = bundle.manifest.engines[-1].target
    assert target is not None
    (profile,) = target.profiles
    ends = [(getattr(profile.min, side), getattr(profile.max, side)) for side in ("width", "height", "batch")]
    for corner in itertools.product(*ends):
        evaluate(opened, bundle, *corner)
    outside = profile.max.width + bundle.manifest.model.patch * bundle.manifest.pixel_factor, profile.max.height, 2
    try:
        evaluate(opened, bundle, *outside)
    except FdcnError as error:
        said = str(error)
    else:
        raise AssertionError("a run outside every profile was not refused")
    assert str(profile) in said, said
    fdcn(*said.partition("Add one: fdcn ")[2].split())
    widened = Bundle.open(bundle.path)
    evaluate(load(widened), widened, *outside)
    return {"profile": str(profile), "refusal": said.replace(str(bundle.path), "BUNDLE")}


def refit(work: Path) -> dict[str, Any]:
    """`fdcn update` gives a refittable engine other weights of the same architecture."""
    path = copied(exported(work), work / "refit").path
    fdcn("build", path, "--fp16", "--refit")
    t, label = np.full(1, 0.5, np.float32), np.zeros(1, np.int64)
    before, _ = load(Bundle.open(path)).condition(t, label)
    start = time.perf_counter()
    said = fdcn("update", path, noisy_checkpoint(work))
    seconds = time.perf_counter() - start
    updated = Bundle.open(path)
    assert any(engine.target for engine in updated.manifest.engines), f"the engine was dropped: {said}"
    opened = load(updated)
    after, _ = opened.condition(t, label)
    assert not np.allclose(before, after, atol=1e-3), "the weights are the old ones"
    return {"seconds": seconds} | close_enough(updated, opened, "float16")


def noisy_checkpoint(work: Path) -> Path:
    """The shipped checkpoint, every weight off by some percent of itself."""
    rng, path = np.random.default_rng(0), work / "noisy.safetensors"
    with safe_open(CHECKPOINT, "numpy") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    noisy = {name: (w * (1 + 0.05 * rng.standard_normal(w.shape))).astype(w.dtype) for name, w in tensors.items()}
    save_file(noisy, path, metadata)
    return path


def aot(work: Path) -> dict[str, Any]:
    """The plugin whose kernel is in the engine, where this TensorRT has such plugins; else the refusal says why not."""
    if tuple(map(int, flavours.load("tensorrt").version.split(".")[:2])) >= (10, 9):
        return compared(work, "aot", "float16", None)
    try:
        built(work, "aot", "float16")
    except FdcnError as error:
        return {"refusal": str(error)}
    raise AssertionError("TensorRT before 10.9 has no such plugins, and none was missed")
