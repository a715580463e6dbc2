"""ONNX Runtime on the CPU: the backend that runs everywhere.

The operator is the native one of `plugins/native` where that has been built (`make ops`), else the function of
standard operators that every exported graph carries.
"""

import math
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from fdcn.bundle import OPTIONS, Bundle, Engine, Graph, StepGroup
from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.plugins import libraries
from fdcn.runtime.backends.integer_products import saturate

NAME = "onnxruntime"


def has_native_operator() -> bool:
    """Whether the native operator has been built for this machine."""
    return libraries.find("ops") is not None


def engine_key(native: bool, precision: str = "float32") -> str:
    """What graphs must have been made for: this version, and the operator native or as its function."""
    made_for = f"{NAME}-{ort.__version__}-{'native' if native else 'function'}"
    return made_for if precision == "float32" else f"{made_for}-{precision}"


def newest_engine(bundle: Bundle, native: bool) -> Engine | None:
    """The engine that a bundle is run with here: the newest one whose key fits, whatever its precision."""
    fitting = {engine_key(native, precision) for precision in ("float32", *OPTIONS)}
    return next((e for e in reversed(bundle.manifest.engines) if e.backend == NAME and e.key in fitting), None)


def session_options(native: bool, precision: str = "float32") -> ort.SessionOptions:
    """Options for the graphs, with the native operator or without. Raises FdcnError where its library does not load."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if precision == "int8" and saturate():
        options.add_session_config_entry("session.x64quantprecision", "1")  # takes kernels that do not: exact, slower
    if native:
        library = libraries.find("ops")
        try:
            options.register_custom_ops_library(str(library))
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
            raise FdcnError(
                say(
                    "onnxruntime.operator_unloadable",
                    version=ort.__version__,
                    library=library,
                    reason=_first_line(error),
                )
            ) from error
    return options


def session(path: Path, optimised: bool, native: bool, precision: str = "float32") -> ort.InferenceSession:
    """Load a graph; an optimised one is taken as it is. Raises FdcnError where ONNX Runtime refuses it."""
    options = session_options(native, precision)
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if optimised else level.ORT_ENABLE_ALL
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
        reason = _first_line(error)
        raise FdcnError(say("onnxruntime.unloadable", version=ort.__version__, file=path, reason=reason)) from error


def optimised_ahead(engine: Engine) -> bool:
    """Whether an engine's graphs are run as they are.

    Those with Q/DQ pairs are optimised where they are loaded: which integer products are fast and right depends on
    the processor.
    """
    return engine.precision == "float32"


class OnnxRuntime:
    """A bundle's graphs in ONNX Runtime: those of the newest engine whose key fits, else the portable ones.

    `native` says whether the operator runs natively; None: where it has been built. `step_groups` are the engine's.
    """

    def __init__(self, bundle: Bundle, native: bool | None = None) -> None:
        self._native = has_native_operator() if native is None else native
        built = newest_engine(bundle, self._native)
        self._bundle = bundle
        self._precision = built.precision if built else "float32"
        self._optimised = built is not None and optimised_ahead(built)
        self._graphs: dict[str, Graph] = built.graphs if built else bundle.manifest.graphs
        self.step_groups: Sequence[StepGroup] = built.step_groups if built else []
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._opening = threading.Lock()
        # A run takes every core: two at once would only disturb each other (benchmarks/bench_threads.py).
        self._turn = threading.Lock()
        graphs = "portable" if built is None else "optimised" if self._optimised else f"{self._precision} engine's"
        operator = "native" if self._native else "portable"
        self.name = say("onnxruntime.name", version=ort.__version__, graphs=graphs, kind=operator)
        outputs = self._session("conditioner").get_outputs()
        self.conditioning_bytes = sum(4 * math.prod(output.shape[1:]) for output in outputs)

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        modulation, final = self._run("conditioner", {"t": t, "label": label})
        return modulation, final

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        feeds = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        return self._run(graph, feeds)[0]

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        if "decoder" not in self._graphs:
            return None
        return self._run("decoder", {"latent": latent})[0]

    def close(self) -> None:
        """Give back the sessions; a call opens its own again."""
        with self._opening:
            self._sessions.clear()

    def _session(self, graph: str) -> ort.InferenceSession:
        with self._opening:
            if graph not in self._sessions:
                path = self._bundle.graph(self._graphs[graph])
                opened = session(path, self._optimised, self._native, self._precision)
                _check_names(graph, path, opened)
                self._sessions[graph] = opened
            return self._sessions[graph]

    def _run(self, graph: str, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        opened = self._session(graph)
        try:
            with self._turn:
                return opened.run(None, feeds)
        except Exception as error:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
            reason = _first_line(error)
            raise FdcnError(say("onnxruntime.failed", graph=graph, shapes=shapes, reason=reason)) from error


def _check_names(graph: str, file: Path, opened: ort.InferenceSession) -> None:
    """Raise FdcnError for a session of another graph."""
    inputs = [given.name for given in opened.get_inputs()]
    outputs = [made.name for made in opened.get_outputs()]
    if graph == "conditioner":
        fits = set(inputs) == {"t", "label"} and set(outputs) == {"modulation", "final"}
    else:
        wanted = {"latent"} if graph == "decoder" else {"latent", "modulation", "final", "s_max"}
        fits = set(inputs) == wanted and len(outputs) == 1
    if not fits:
        taken, given = ", ".join(inputs), ", ".join(outputs)
        raise FdcnError(say("onnxruntime.other_graph", file=file, graph=graph, inputs=taken, outputs=given))


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
