"""What can be compared: the backends of a bundle, and single artifacts of it, by name."""

import dataclasses
from pathlib import Path

from fdcn import gpu
from fdcn.bundle import Bundle, Engine
from fdcn.errors import FdcnError
from fdcn.runtime.backends import choice, onnxrt, open_backend
from fdcn.runtime.backends.base import Backend
from fdcn.verify import half_graphs, run_operator
from fdcn.verify.report import Side
from fdcn.verify.run_operator import Operator

BACKENDS = ("auto", "onnxruntime", "tensorrt")
PORTABLE, HALF = "onnxruntime-portable", "onnxruntime-fp16"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A backend that is open, and what it is."""

    side: Side
    backend: Backend
    operator: Operator
    """The operator alone, as this backend runs it."""

    def same_as(self, other: "Contender") -> bool:
        """Whether two names stand for one thing."""
        return (self.side.artifact, self.side.backend) == (other.side.artifact, other.side.backend)


def open_pair(
    bundle: Bundle, reference: str, candidate: str, folder: Path, allow_bundled_code: bool = False
) -> tuple[Contender, Contender]:
    """Open two names. Raises FdcnError where one cannot be opened, or both are the same thing."""
    first, second = (open_contender(bundle, name, folder, allow_bundled_code) for name in (reference, candidate))
    if first.same_as(second):
        raise FdcnError(
            f"{reference} and {candidate} are the same here: {second.side.backend}. Build something to compare: "
            f"fdcn build {bundle.path}; or compare half precision: --candidate {HALF}"
        )
    return first, second


def names(bundle: Bundle) -> list[str]:
    """Every name that `open_contender` takes for a bundle."""
    return [*BACKENDS, PORTABLE, HALF, *(engine.key for engine in bundle.manifest.engines)]


def open_contender(bundle: Bundle, name: str, folder: Path, allow_bundled_code: bool = False) -> Contender:
    """Open what a name stands for; `folder`, for temporary files, must outlive it.

    "auto", "onnxruntime" and "tensorrt" are what `fdcn run --backend` takes; "onnxruntime-portable" is the exported
    graphs with standard operators alone, "onnxruntime-fp16" those graphs made half precision as for a GPU; and an
    engine's key is that engine. Raises FdcnError for other names and where one cannot run here.
    """
    engine = next((engine for engine in bundle.manifest.engines if engine.key == name), None)
    if engine is None and name not in names(bundle):
        raise FdcnError(f"{bundle.path} has nothing called {name!r}; there are {', '.join(names(bundle))}")
    if name == PORTABLE:
        return _portable(bundle, name)
    if name == HALF:
        return _half(bundle, name, folder)
    if name in ("auto", "tensorrt") and (device := gpu.first()) is not None:
        engines = [e for e in bundle.manifest.engines if e.backend == choice.NAME]
        engine = choice.choose(bundle.path, engines, choice.survey(device, engines), allow_bundled_code)
    if engine is not None and engine.backend == choice.NAME:
        return _tensorrt(bundle, name, engine, allow_bundled_code)
    if name == "tensorrt":
        raise FdcnError(f"tensorrt needs an NVIDIA GPU, and there is none here; compare {HALF}, which needs none")
    return _onnxruntime(bundle, name, engine)


def _portable(bundle: Bundle, name: str) -> Contender:
    backend = onnxrt.OnnxRuntime(_with(bundle), native=False)
    side = Side(name, "portable graphs", "float32", backend.name)
    return Contender(side, backend, run_operator.in_onnx_runtime("float32", native=False))


def _half(bundle: Bundle, name: str, folder: Path) -> Contender:
    native = onnxrt.has_native_operator()
    backend = onnxrt.OnnxRuntime(half_graphs.write(bundle, folder), native)
    side = Side(name, "portable graphs in float16", "float16", backend.name)
    return Contender(side, backend, run_operator.in_onnx_runtime("float16", native))


def _onnxruntime(bundle: Bundle, name: str, engine: Engine | None) -> Contender:
    native = onnxrt.has_native_operator()
    if engine is not None:
        native = native and engine.key == onnxrt.engine_key(True)
        if engine.key != onnxrt.engine_key(native):
            raise FdcnError(
                f"{engine.key} does not run here, where engines are {onnxrt.engine_key(onnxrt.has_native_operator())}; "
                f"build one: fdcn build {bundle.path}"
            )
        bundle = _with(bundle, engine)
    taken = next((e.key for e in bundle.manifest.engines if e.key == onnxrt.engine_key(native)), "portable graphs")
    backend = onnxrt.OnnxRuntime(bundle, native)
    side = Side(name, taken, "float32", backend.name)
    return Contender(side, backend, run_operator.in_onnx_runtime("float32", native))


def _tensorrt(bundle: Bundle, name: str, engine: Engine, allow_bundled_code: bool) -> Contender:
    backend = open_backend(_with(bundle, engine), "tensorrt", allow_bundled_code)
    assert engine.target is not None
    side = Side(name, engine.key, engine.target.precision, backend.name)
    return Contender(side, backend, run_operator.in_tensorrt(bundle, engine.target, allow_bundled_code))


def _with(bundle: Bundle, *engines: Engine) -> Bundle:
    """A bundle with no engines but these."""
    return Bundle(bundle.path, dataclasses.replace(bundle.manifest, engines=list(engines)))
