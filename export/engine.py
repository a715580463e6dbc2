"""`fdcn build`: the graphs of a bundle prepared for one backend."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import onnxruntime as ort

from fdcn.bundle import Bundle, Draft, Engine, Graph, drafting
from fdcn.errors import FdcnError
from fdcn.export.lock import changing
from fdcn.runtime.backends.onnxrt import NAME, engine_key, has_native_operator, session_options

EXTERNAL_FROM = 1024
"""Tensors of so many bytes and more go into the data file."""


def build_onnxruntime(bundle: Bundle, native: bool | None = None) -> Bundle:
    """Optimise every graph ahead of time for the ONNX Runtime of this machine, and add them to the bundle.

    `native` says whether the operator is to run natively; None: where it has been built. An engine of the same key
    is replaced. The portable graphs stay: they run wherever the key differs.
    Raises FdcnError where ONNX Runtime refuses a graph or the bundle cannot be written.
    """
    native = has_native_operator() if native is None else native
    key = engine_key(native)
    with changing(bundle.path):
        bundle = Bundle.open(bundle.path)
        with drafting(bundle.path, "engine") as draft:
            sources = {name: bundle.graph(graph) for name, graph in bundle.manifest.graphs.items()}
            graphs = {name: _optimise(path, draft, name, native) for name, path in sources.items()}
            others = [e for e in bundle.manifest.engines if (e.backend, e.key) != (NAME, key)]
            manifest = dataclasses.replace(bundle.manifest, engines=[*others, Engine(NAME, key, graphs)])
            return draft.commit(manifest)


def standing(bundle: Bundle) -> Engine | None:
    """The engine of a bundle that `build_onnxruntime` would only make again, its files whole."""
    key = engine_key(has_native_operator())
    engine = next((e for e in bundle.manifest.engines if (e.backend, e.key) == (NAME, key)), None)
    with contextlib.suppress(FdcnError):
        for graph in (*bundle.manifest.graphs.values(), *(engine.graphs.values() if engine else ())):
            bundle.graph(graph)
        return engine
    return None


def renew(engine: Engine, sources: Mapping[str, Path], draft: Draft, folder: str) -> Engine | None:
    """An engine of this machine made again of other graphs, in a folder of a draft; None for one of another machine."""
    native = next((native for native in (False, has_native_operator()) if engine.key == engine_key(native)), None)
    if native is None:
        return None
    graphs = {name: _optimise(path, draft, name, native, folder) for name, path in sources.items()}
    return dataclasses.replace(engine, graphs=graphs)


def _optimise(path: Path, draft: Draft, name: str, native: bool, folder: str = "") -> Graph:
    data = f"{name}.onnx.data"
    inside = draft.path / folder
    inside.mkdir(exist_ok=True)
    options = session_options(native)
    options.log_severity_level = 4  # it warns of hardware-specific graphs, which EXTENDED does not make
    # Above EXTENDED the layout of convolutions depends on the processor.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(inside / f"{name}.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", data)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(EXTERNAL_FROM)
    )
    try:
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
        raise FdcnError(f"ONNX Runtime {ort.__version__} could not optimise {path}: {str(error)[:200]}") from error
    names = [f"{name}.onnx", *([data] if (inside / data).exists() else [])]
    file, *others = (draft.inside(str(PurePosixPath(folder, each))) for each in names)
    return Graph(file, others)
