"""ONNX Runtime on the CPU: the backend that runs everywhere."""

import functools
import math
from pathlib import Path

import numpy as np
import onnxruntime as ort

from fdcn.bundle import Bundle, Graph
from fdcn.errors import FdcnError

NAME = "onnxruntime"


def engine_key() -> str:
    """What an optimised graph must have been made for: this version, and the operator as its function body."""
    return f"{NAME}-{ort.__version__}-function"


def session(path: Path, optimised: bool) -> ort.InferenceSession:
    """Load a graph; an optimised one is taken as it is. Raises FdcnError where ONNX Runtime refuses it."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if optimised else level.ORT_ENABLE_ALL
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
        raise FdcnError(f"ONNX Runtime {ort.__version__} cannot load {path} ({_first_line(error)})") from error


class OnnxRuntime:
    """A bundle's graphs in ONNX Runtime: those optimised ahead of time where their key fits, else the portable ones."""

    def __init__(self, bundle: Bundle) -> None:
        manifest, key = bundle.manifest, engine_key()
        built = next((e for e in manifest.engines if e.backend == NAME and e.key == key), None)
        self._bundle = bundle
        self._optimised = built is not None
        self._graphs: dict[str, Graph] = built.graphs if built else manifest.graphs
        self.name = f"ONNX Runtime {ort.__version__} on the CPU, {'optimised' if built else 'portable'} graphs"
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

    @functools.cache  # noqa: B019 - a pipeline keeps its backend for as long as it lives
    def _session(self, graph: str) -> ort.InferenceSession:
        return session(self._bundle.graph(self._graphs[graph]), self._optimised)

    def _run(self, graph: str, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self._session(graph).run(None, feeds)
        except FdcnError:
            raise
        except Exception as error:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
            raise FdcnError(f"ONNX Runtime failed in the {graph} with {shapes}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
