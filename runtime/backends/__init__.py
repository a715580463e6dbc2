"""What runs the graphs. Each backend has the three methods of `base.Backend`."""

from fdcn import gpu
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.backends.base import OpenBackend

BACKENDS = ("auto", "onnxruntime", "tensorrt")


def open_backend(bundle: Bundle, name: str, allow_bundled_code: bool = False, device: int | None = None) -> OpenBackend:
    """Open a bundle's graphs on a backend by name.

    "auto" is TensorRT on a machine with an NVIDIA GPU, and ONNX Runtime where there is none: it never leaves a GPU
    idle unsaid. A library inside the bundle is code, and loaded only where that is allowed. `device` is the GPU's
    number, the first if None; with it the backend is TensorRT.
    Raises FdcnError where the backend cannot run.
    """
    if name not in BACKENDS:
        raise FdcnError(say("backend.unknown", backend=repr(name), backends=", ".join(BACKENDS)))
    if name == "onnxruntime":
        if device is not None:
            raise FdcnError(say("backend.cpu_device", device=device))
        chosen = None
    else:
        try:
            chosen = gpu.numbered(device)
        except FdcnError as error:
            raise FdcnError(say("backend.or_on_cpu", reason=error)) from error
    if chosen is not None:
        from fdcn.runtime.backends.trt import open_engine

        return open_engine(bundle, chosen, allow_bundled_code)
    if name == "tensorrt":
        raise FdcnError(say("backend.no_gpu"))
    from fdcn.runtime.backends.onnxrt import OnnxRuntime

    return OnnxRuntime(bundle)
