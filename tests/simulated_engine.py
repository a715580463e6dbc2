"""Bundles with TensorRT engines that a simulated GPU runs."""

import dataclasses
import functools
import shutil
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import simulated_gpu
import simulated_kernels

from fdcn.bundle import Bundle, Engine, Graph, Plugin, Profile, Target, drafting, engine_key, sha256
from fdcn.export.profiles import axes
from fdcn.gpu import Gpu
from fdcn.plugins import flavours, gpu_launch
from fdcn.plugins.flavours import Flavour
from fdcn.runtime.backends import device

GPU = Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", "580.65.06")


def simulated(monkeypatch: pytest.MonkeyPatch) -> simulated_gpu.Cuda:
    """A simulated GPU with a simulated TensorRT 10.6.0, in place of CUDA's bindings."""
    cuda = simulated_gpu.Cuda()
    flavour = Flavour("tensorrt", "10.6.0", "12", simulated_gpu.TensorRT(cuda))
    package = types.ModuleType("cuda.bindings")
    package.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]  # which find_spec looks for
    package.runtime = cuda  # type: ignore[attr-defined]
    package.driver = simulated_gpu.Driver(cuda, simulated_kernels.Kernels(cuda))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", package)
    monkeypatch.setattr(flavours, "load", lambda name: flavour)
    monkeypatch.setattr(gpu_launch, "function", lambda source, name: name)
    monkeypatch.setattr(device, "_context", functools.cache(device._context.__wrapped__))
    return cuda


def with_engine(
    bundle: Bundle,
    profiles: Sequence[Profile],
    library: bytes | None = None,
    other: Engine | None = None,
    **changes: Any,
) -> Bundle:
    """A bundle with one engine of these profiles; `changes` are of its target.

    It runs the bundle's portable graphs, or those of another engine of it, for ONNX Runtime, with its step groups.
    """
    manifest = bundle.manifest
    plugin = Plugin("none", 1, None, None)
    target = Target("tensorrt", "10.6.0", ["sm_86"], "12", None, "float16", list(profiles), plugin, {}, None, False, "")
    with drafting(bundle.path, "engine") as draft:
        graphs = {}
        for name, graph in (other.graphs if other else manifest.graphs).items():
            onnx = bundle.graph(graph).resolve()
            inputs = simulated_gpu.ort.InferenceSession(onnx).get_inputs()
            ranges = [
                {
                    i.name: [[sides[dim][k] if dim in sides else dim for dim in i.shape] for k in range(3)]
                    for i in inputs
                }
                for sides in axes(name, profiles, manifest.pixel_factor)
            ]
            (draft.path / f"{name}.engine").write_bytes(simulated_gpu.plan(onnx, ranges))
            graphs[name] = Graph(draft.inside(f"{name}.engine"), [])
        if library is not None:
            (draft.path / "libfdcn_tensorrt.so").write_bytes(library)
            inside = draft.inside("libfdcn_tensorrt.so")
            changes["plugin"] = Plugin("library", 1, sha256(draft.path / "libfdcn_tensorrt.so"), inside)
        target = dataclasses.replace(target, **changes)
        engine = Engine("tensorrt", engine_key(target), graphs, target, other.step_groups if other else [])
        kept = [other] if other else []
        return draft.commit(dataclasses.replace(manifest, engines=[*kept, engine]))


def equipped(bundle: Bundle, folder: Path, profiles: Sequence[Profile]) -> Bundle:
    """A copy of a bundle, with an engine."""
    shutil.copytree(bundle.path, folder)
    return with_engine(Bundle.open(folder), profiles)
