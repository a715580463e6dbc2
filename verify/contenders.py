"""What can be compared: the backends of a bundle, and single artifacts of it, by name."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fdcn import gpu
from fdcn.bundle import QUANTISED, Bundle, Engine
from fdcn.errors import FdcnError
from fdcn.runtime.backends import choice, onnxrt, open_backend
from fdcn.runtime.backends.base import Backend
from fdcn.verify import lowered, run_operator
from fdcn.verify.report import Side
from fdcn.verify.run_operator import Operator

BACKENDS = ("auto", "onnxruntime", "tensorrt")
PORTABLE, HALF = "onnxruntime-portable", "onnxruntime-fp16"
LOWERED = {HALF: "float16", "onnxruntime-int8": "int8", "onnxruntime-fp8": "fp8"}
"""The exported graphs in a lower precision, on the CPU."""
PRODUCTS = {"float16": "in float16", "int8": "with INT8 products", "fp8": "with FP8 products"}


@dataclasses.dataclass(frozen=True)
class Contender:
    """A backend that is open, and what it is."""

    side: Side
    backend: Backend
    operator: Operator
    """The operator alone, as this backend runs it."""
    rest: str
    """The precision of all that is never quantised: the operator and the conditioner are among it."""
    files: tuple[str, ...]
    """Hashes of the graphs that it runs, weights included."""

    def same_as(self, other: "Contender") -> bool:
        """Whether two names stand for one thing."""
        return (self.side.artifact, self.side.backend) == (other.side.artifact, other.side.backend)


def open_all(
    bundle: Bundle, reference: str, candidates: Sequence[str], folder: Path, allow_bundled_code: bool = False
) -> tuple[Contender, list[Contender]]:
    """Open a reference and the names that are compared with it.

    Raises FdcnError where one cannot be opened, or two are the same thing.
    """
    opened: list[Contender] = []
    for name in (reference, *candidates):
        contender = open_contender(bundle, name, folder, allow_bundled_code)
        if same := next((other for other in opened if other.same_as(contender)), None):
            raise FdcnError(
                f"{same.side.name} and {name} are the same here: {contender.side.backend}. Build something to compare: "
                f"fdcn build {bundle.path}; or compare half precision: --candidate {HALF}"
            )
        opened.append(contender)
    return opened[0], opened[1:]


def names(bundle: Bundle) -> list[str]:
    """Every name that `open_contender` takes for a bundle."""
    return [*BACKENDS, PORTABLE, *LOWERED, *(engine.key for engine in bundle.manifest.engines)]


def open_contender(bundle: Bundle, name: str, folder: Path, allow_bundled_code: bool = False) -> Contender:
    """Open what a name stands for; `folder`, for temporary files, must outlive it.

    "auto", "onnxruntime" and "tensorrt" are what `fdcn run --backend` takes; "onnxruntime-portable" is the exported
    graphs with standard operators alone; "onnxruntime-fp16" those graphs made half precision as for a GPU, and with
    "-int8" or "-fp8" those with the products that the bundle's calibration says in INT8 or FP8; and an engine's key is
    that engine. Raises FdcnError for other names and where one cannot run here.
    """
    engine = next((engine for engine in bundle.manifest.engines if engine.key == name), None)
    if engine is None and name not in names(bundle):
        raise FdcnError(f"{bundle.path} has nothing called {name!r}; there are {', '.join(names(bundle))}")
    if name == PORTABLE:
        return _portable(bundle, name)
    if name in LOWERED:
        return _lowered(bundle, name, folder)
    if name in ("auto", "tensorrt") and (device := gpu.first()) is not None:
        engines = [e for e in bundle.manifest.engines if e.backend == choice.NAME]
        engine = choice.choose(bundle.path, engines, choice.survey(device, engines), allow_bundled_code)
    if engine is not None and engine.backend == choice.NAME:
        return _tensorrt(bundle, name, engine, allow_bundled_code)
    if name == "tensorrt":
        raise FdcnError(f"tensorrt needs an NVIDIA GPU, and there is none here; compare {HALF}, which needs none")
    return _onnxruntime(bundle, name, engine)


def _portable(bundle: Bundle, name: str) -> Contender:
    plain = bundle.with_engines()
    backend = onnxrt.OnnxRuntime(plain, native=False)
    side = Side(name, "portable graphs", "float32", backend.name)
    operator = run_operator.in_onnx_runtime("float32", native=False)
    return Contender(side, backend, operator, "float32", _files(plain))


def _lowered(bundle: Bundle, name: str, folder: Path) -> Contender:
    native, precision = onnxrt.has_native_operator(), LOWERED[name]
    (folder / name).mkdir()
    written = lowered.write(bundle, folder / name, precision, native)
    backend, rest = onnxrt.OnnxRuntime(written, native), lowered.REST[precision]
    side = Side(name, f"portable graphs {PRODUCTS[precision]}", precision, backend.name)
    return Contender(
        side, backend, run_operator.in_onnx_runtime(rest, native), rest, _files(written, *written.manifest.engines)
    )


def _onnxruntime(bundle: Bundle, name: str, engine: Engine | None) -> Contender:
    native = onnxrt.has_native_operator()
    if engine is not None:
        native = native and engine.key == onnxrt.engine_key(True, engine.precision)
        if engine.key != onnxrt.engine_key(native, engine.precision):
            raise FdcnError(
                f"{engine.key} does not run here, where engines are "
                f"{onnxrt.engine_key(onnxrt.has_native_operator(), engine.precision)}; "
                f"build one: fdcn build {bundle.path}"
            )
        bundle = bundle.with_engines(engine)
    backend, taken = onnxrt.OnnxRuntime(bundle, native), onnxrt.newest_engine(bundle, native)
    artifact, precision = (taken.key, taken.precision) if taken else ("portable graphs", "float32")
    side = Side(name, artifact, precision, backend.name)
    return Contender(side, backend, run_operator.in_onnx_runtime("float32", native), "float32", _files(bundle, taken))


def _tensorrt(bundle: Bundle, name: str, engine: Engine, allow_bundled_code: bool) -> Contender:
    backend = open_backend(bundle.with_engines(engine), "tensorrt", allow_bundled_code)
    assert engine.target is not None
    precision = engine.target.precision
    side = Side(name, engine.key, precision, backend.name)
    rest = "float16" if precision in QUANTISED else precision
    operator = run_operator.in_tensorrt(bundle, engine.target, allow_bundled_code)
    return Contender(side, backend, operator, rest, _files(bundle, engine))


def _files(bundle: Bundle, engine: Engine | None = None) -> tuple[str, ...]:
    """Hashes of the graphs of an engine, or of the portable ones."""
    graphs = (engine.graphs if engine else bundle.manifest.graphs).values()
    names = [name for graph in graphs for name in (graph.file, *graph.data)]
    return tuple(bundle.manifest.files[name].sha256 for name in names)
