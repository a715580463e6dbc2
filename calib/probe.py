"""The network as exported, in float32, with every value that its products read as an output beside its own."""

import tempfile
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from fdcn import gpu
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.products import activations, products
from fdcn.export.read import read
from fdcn.runtime.backends import onnxrt

DENOISER = "denoiser"
CUDA = "CUDAExecutionProvider"
PREFIX = "read by "
"""Starts the names of the outputs that are added; what follows is the first product that reads the value."""


class Probe:
    """A backend that also keeps what the products of its last evaluation read. It decodes nothing."""

    def __init__(self, bundle: Bundle) -> None:
        """Open a bundle's network. Raises FdcnError where ONNX Runtime cannot load it, or it has no products."""
        # An engine's conditioner computes the same, but rounds differently: what is measured must not depend on it.
        self._exported = onnxrt.OnnxRuntime(bundle.with_engines())
        self.conditioning_bytes = self._exported.conditioning_bytes
        model = read(bundle.graph(bundle.manifest.graphs[DENOISER]))
        self.layers = _add_outputs(model)
        """Of each value that products read, by all of them in graph order: its channels."""
        if not self.layers:
            raise FdcnError(f"the network of {bundle.path} multiplies by no weights: there is nothing to quantise")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder, "probe.onnx")
            ir.save(model, path, external_data="probe.onnx.data")
            self._session, self.name = _session(path)
        self.values: dict[str, np.ndarray] = {}
        """What the last evaluation read, by the first product: float32 [B, ..., K]."""

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._exported.condition(t, label)

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        feeds = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        self.values = {}  # before the next ones are made: they are the most of what is held
        try:
            velocity, *values = self._session.run(None, feeds)
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
            raise FdcnError(f"ONNX Runtime failed with {shapes}: {str(error)[:200]}") from error
        self.values = {first: value for (first, *_), value in zip(self.layers, values, strict=True)}
        return velocity

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        return None

    def close(self) -> None:
        """Give back the conditioner's session; the network's goes with the object."""
        self._exported.close()
        self.values = {}


def _add_outputs(model: ir.Model) -> dict[tuple[str, ...], int]:
    """Make outputs of the values that products read; gives their channels by the products."""
    layers = {}
    for value, readers in activations(products(model)).items():
        names = tuple(product.name for product in readers)
        layers[names] = readers[0].shape[0]
        # Through a node: a value may be an input of the graph, or an output already.
        node = ir.node("Identity", [value], name=PREFIX + names[0])
        (output,) = node.outputs
        output.name, output.type = PREFIX + names[0], ir.TensorType(ir.DataType.FLOAT)
        model.graph.append(node)
        model.graph.outputs.append(output)
    return layers


def _session(path: Path) -> tuple[ort.InferenceSession, str]:
    """A session on the GPU where there is one and this ONNX Runtime runs on it, else on the CPU; and what it is."""
    if CUDA in ort.get_available_providers() and gpu.first() is not None:
        # The native operator is the CPU's: there the function of standard operators stays with the rest.
        options = onnxrt.session_options(False)
        try:
            session = ort.InferenceSession(path, options, providers=[CUDA, "CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
            raise FdcnError(f"ONNX Runtime {ort.__version__} cannot load the network ({str(error)[:200]})") from error
        if CUDA in session.get_providers():  # it goes without where CUDA's own libraries do not load
            return session, f"ONNX Runtime {ort.__version__} with CUDA"
    native = onnxrt.has_native_operator()
    session = onnxrt.session(path, optimised=False, native=native)
    return session, f"ONNX Runtime {ort.__version__} on the CPU, {'native' if native else 'portable'} operator"
