"""How much faster the INT8 network is on this machine's ONNX Runtime than the float32 one."""

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from fdcn.bundle import Bundle
from fdcn.export.passes.quantise import quantise
from fdcn.export.read import read
from fdcn.export.recipe import Recipe
from fdcn.runtime.backends import onnxrt

PAIRS = 5
"""Measured one after the other, so that whatever else the machine does meets both."""


class Speed:
    """Times one evaluation of a bundle's network with recipes."""

    def __init__(self, bundle: Bundle, inputs: Mapping[str, np.ndarray]) -> None:
        """Open the float32 network; `inputs` are those of the denoiser."""
        self._path = bundle.graph(bundle.manifest.graphs["denoiser"])
        self._inputs = dict(inputs)
        self._native = onnxrt.has_native_operator()
        self._float = onnxrt.session(self._path, optimised=False, native=self._native)

    def over_float32(self, recipe: Recipe) -> float:
        """The median of the ratios of times, float32's over the recipe's. Raises FdcnError where it cannot run."""
        model = read(self._path)
        quantise(model, recipe)
        with tempfile.TemporaryDirectory(prefix="fdcn-calibrate-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, "int8.onnx")
            ir.save(model, path, external_data="int8.onnx.data")
            quantised = onnxrt.session(path, optimised=False, native=self._native)
            sessions = self._float, quantised
            for session in sessions:
                session.run(None, self._inputs)
            pairs = [[_seconds(session, self._inputs) for session in sessions] for _ in range(PAIRS)]
        return statistics.median(a / b for a, b in pairs)


def _seconds(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(None, inputs)
    return time.perf_counter() - start
