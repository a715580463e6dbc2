"""`fdcn build`: the graphs of a bundle prepared for one backend."""

import dataclasses
from pathlib import Path

import onnxruntime as ort

from fdcn.bundle import Bundle, Draft, Engine, Graph, drafting
from fdcn.errors import FdcnError
from fdcn.runtime.backends.onnxrt import NAME, engine_key

EXTERNAL_FROM = 1024
"""Tensors of so many bytes and more go into the data file."""


def build_onnxruntime(bundle: Bundle) -> Bundle:
    """Optimise every graph ahead of time for the ONNX Runtime of this machine, and add them to the bundle.

    An engine of the same key is replaced. The portable graphs stay: they run wherever the key differs.
    Raises FdcnError where ONNX Runtime refuses a graph or the bundle cannot be written.
    """
    key = engine_key()
    with drafting(bundle.path, "engine") as draft:
        graphs = {name: _optimise(bundle.graph(graph), draft, name) for name, graph in bundle.manifest.graphs.items()}
        others = [e for e in bundle.manifest.engines if (e.backend, e.key) != (NAME, key)]
        manifest = dataclasses.replace(bundle.manifest, engines=[*others, Engine(NAME, key, graphs)])
        return draft.commit(manifest)


def _optimise(path: Path, draft: Draft, name: str) -> Graph:
    data = f"{name}.onnx.data"
    options = ort.SessionOptions()
    options.log_severity_level = 4  # it warns of hardware-specific graphs, which EXTENDED does not make
    # Above EXTENDED the layout of convolutions depends on the processor.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(draft.path / f"{name}.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", data)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(EXTERNAL_FROM)
    )
    try:
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
        raise FdcnError(f"ONNX Runtime {ort.__version__} could not optimise {path}: {str(error)[:200]}") from error
    return Graph(draft.inside(f"{name}.onnx"), [draft.inside(data)] if (draft.path / data).exists() else [])
