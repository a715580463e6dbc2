"""What runs the graphs. Each backend has the three methods of `base.Backend`."""

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.backends.base import Backend

BACKENDS = ("auto", "onnxruntime", "tensorrt")


def open_backend(bundle: Bundle, name: str) -> Backend:
    """Open a bundle's graphs on a backend by name; "auto" takes the best that this machine and bundle have.

    Raises FdcnError where the named backend cannot run.
    """
    if name not in BACKENDS:
        raise FdcnError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)}")
    if name == "tensorrt":
        raise FdcnError(f"{bundle.path} holds no TensorRT engine; run with --backend onnxruntime")
    from fdcn.runtime.backends.onnxrt import OnnxRuntime

    return OnnxRuntime(bundle)
