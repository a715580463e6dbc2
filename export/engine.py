"""`fdcn build`: the graphs of a bundle prepared for one backend."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import onnxruntime as ort

from fdcn.bundle import Bundle, Draft, Engine, Graph, StepGroup, drafting
from fdcn.errors import FdcnError
from fdcn.export.lock import changing
from fdcn.runtime.backends.onnxrt import NAME, engine_key, has_native_operator, session_options

EXTERNAL_FROM = 1024
"""Tensors of so many bytes and more go into the data file."""


@dataclasses.dataclass(frozen=True)
class Quantised:
    """What takes the denoiser's place."""

    graphs: dict[str, Graph]
    """Files of a draft; "denoiser" is one of them."""
    step_groups: list[StepGroup]
    recipe_sha256: str


Quantise = Callable[[Bundle, Draft], Quantised]
"""Writes the denoisers of a bundle in INT8 into a draft: `quantised.int8`, which takes ONNX. This module has none."""


def build_onnxruntime(bundle: Bundle, native: bool | None = None, quantise: Quantise | None = None) -> Bundle:
    """Add an engine for the ONNX Runtime of this machine to a bundle, as the newest.

    Every graph is optimised ahead of time. With `quantise` the denoiser is INT8 instead: its Q/DQ pairs become integer
    products where the graph is loaded, and the other graphs are the portable ones. `native` says whether the operator
    is to run natively; None: where it has been built. An engine of the same key is replaced. The portable graphs stay:
    they run wherever the key differs.
    Raises FdcnError where ONNX Runtime refuses a graph or the bundle cannot be written, and what `quantise` raises.
    """
    native = has_native_operator() if native is None else native
    with changing(bundle.path):
        bundle = Bundle.open(bundle.path)
        with drafting(bundle.path, "engine") as draft:
            engine = _quantised(bundle, draft, native, quantise) if quantise else _float32(bundle, draft, native)
            others = [e for e in bundle.manifest.engines if (e.backend, e.key) != (NAME, engine.key)]
            return draft.commit(dataclasses.replace(bundle.manifest, engines=[*others, engine]))


def _float32(bundle: Bundle, draft: Draft, native: bool) -> Engine:
    sources = {name: bundle.graph(graph) for name, graph in bundle.manifest.graphs.items()}
    return Engine(NAME, engine_key(native), {n: _optimise(path, draft, n, native) for n, path in sources.items()})


def _quantised(bundle: Bundle, draft: Draft, native: bool, quantise: Quantise) -> Engine:
    made = quantise(bundle, draft)
    for graph in made.graphs.values():
        # Opened once, as it will be: what ONNX Runtime refuses it is to refuse now.
        _open(draft.path / PurePosixPath(graph.file).name, session_options(native, "int8"))
    key, graphs = engine_key(native, "int8"), {**bundle.manifest.graphs, **made.graphs}
    return Engine(NAME, key, graphs, step_groups=made.step_groups, recipe_sha256=made.recipe_sha256)


def standing(bundle: Bundle, recipe_sha256: str | None = None) -> Engine | None:
    """The engine of a bundle that `build_onnxruntime` would only make again, its files whole.

    It is INT8 where a recipe's hash is given, by which it was made.
    """
    key = engine_key(has_native_operator(), "int8" if recipe_sha256 else "float32")
    wanted = (NAME, key, recipe_sha256)
    engine = next((e for e in bundle.manifest.engines if (e.backend, e.key, e.recipe_sha256) == wanted), None)
    with contextlib.suppress(FdcnError):
        for graph in (*bundle.manifest.graphs.values(), *(engine.graphs.values() if engine else ())):
            bundle.graph(graph)
        return engine
    return None


def newest(bundle: Bundle, engine: Engine) -> Bundle:
    """A bundle one of whose engines has become the newest, which is what `fdcn run` takes."""
    with changing(bundle.path):
        return Bundle.open(bundle.path).with_newest(engine)


def renew(engine: Engine, sources: Mapping[str, Path], draft: Draft, folder: str) -> Engine | None:
    """An engine of this machine made again of other graphs, in a folder of a draft.

    None for one of another machine, and for one in INT8: other weights need another calibration.
    """
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
    # Above EXTENDED the layout of convolutions depends on the processor.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(inside / f"{name}.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", data)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(EXTERNAL_FROM)
    )
    _open(path, options)
    names = [f"{name}.onnx", *([data] if (inside / data).exists() else [])]
    file, *others = (draft.inside(str(PurePosixPath(folder, each))) for each in names)
    return Graph(file, others)


def _open(path: Path, options: ort.SessionOptions) -> None:
    options.log_severity_level = 4  # it warns of hardware-specific graphs, which EXTENDED does not make
    try:
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
        raise FdcnError(f"ONNX Runtime {ort.__version__} could not optimise {path}: {str(error)[:200]}") from error
