"""What is measured: the engines of a bundle that this machine can run, one by one."""

import dataclasses
from collections.abc import Sequence

from fdcn import gpu
from fdcn.bundle import OPTIONS, Bundle, Engine
from fdcn.errors import FdcnError
from fdcn.runtime.backends import choice, open_backend
from fdcn.runtime.backends.base import OpenBackend

PORTABLE = "portable"
"""Names the exported graphs themselves."""
ONNXRUNTIME, TENSORRT = "onnxruntime", "tensorrt"


@dataclasses.dataclass(frozen=True)
class Subject:
    """One artifact of a bundle, and what runs it."""

    name: str
    """An engine's key, or "portable"."""
    backend: str
    """"onnxruntime" or "tensorrt"."""
    precision: str
    bundle: Bundle
    """With no engine but this."""
    native: bool = False
    """In ONNX Runtime: whether the operator is the native one."""
    allow_bundled_code: bool = False

    def open(self) -> OpenBackend:
        """The graphs, ready to run. Raises FdcnError where they cannot."""
        if self.backend == TENSORRT:
            return open_backend(self.bundle, TENSORRT, self.allow_bundled_code)
        from fdcn.runtime.backends.onnxrt import OnnxRuntime

        return OnnxRuntime(self.bundle, self.native)


def find(bundle: Bundle, backend: str, names: Sequence[str] = (), allow_bundled_code: bool = False) -> list[Subject]:
    """The engines of these names, or all that this machine can load for a backend, as `fdcn run --backend` takes it.

    Of ONNX Runtime's that is one: the newest engine for this machine, else the portable graphs. Raises FdcnError for
    an unknown name, and where nothing can be run.
    """
    if names:
        return [_named(bundle, backend, name, allow_bundled_code) for name in dict.fromkeys(names)]
    device = gpu.first() if backend != ONNXRUNTIME else None
    if device is None:
        if backend == TENSORRT:
            raise FdcnError("TensorRT needs an NVIDIA GPU, and there is none here; measure with --backend onnxruntime")
        return [_onnxruntime(bundle)]
    engines = [engine for engine in bundle.manifest.engines if engine.backend == TENSORRT]
    machine = choice.survey(device, engines)
    found = [e for e in engines if choice.obstacle(bundle.path, e, machine, allow_bundled_code) is None]
    if not found:
        choice.choose(bundle.path, engines, machine, allow_bundled_code)  # which says why
    return [_tensorrt(bundle, engine, allow_bundled_code) for engine in found]


def _named(bundle: Bundle, backend: str, name: str, allow_bundled_code: bool) -> Subject:
    engine = next((engine for engine in bundle.manifest.engines if engine.key == name), None)
    if engine is None and name != PORTABLE:
        there = ", ".join([PORTABLE, *(engine.key for engine in bundle.manifest.engines)])
        raise FdcnError(f"{bundle.path} has no engine called {name!r}; there are {there}")
    runs = engine.backend if engine else ONNXRUNTIME
    if backend not in ("auto", runs):
        raise FdcnError(f"{name} is for {runs}, not {backend}; leave --backend out")
    if engine is None or runs == ONNXRUNTIME:
        return _onnxruntime(bundle, engine, portable=engine is None)
    return _tensorrt(bundle, engine, allow_bundled_code)


def _onnxruntime(bundle: Bundle, engine: Engine | None = None, portable: bool = False) -> Subject:
    from fdcn.runtime.backends import onnxrt

    native = onnxrt.has_native_operator()
    if engine is None and not portable:
        engine = onnxrt.newest_engine(bundle, native)
    elif engine is not None:
        native = native and engine.key == onnxrt.engine_key(True, engine.precision)
        if engine.key != onnxrt.engine_key(native, engine.precision):
            here = onnxrt.engine_key(onnxrt.has_native_operator(), engine.precision)
            option = OPTIONS.get(engine.precision)
            raise FdcnError(
                f"{engine.key} does not run here, where engines are {here}; "
                f"build one: fdcn build {bundle.path}{f' {option}' if option else ''}"
            )
    if engine is None:
        return Subject(PORTABLE, ONNXRUNTIME, "float32", _with(bundle, None), native)
    return Subject(engine.key, ONNXRUNTIME, engine.precision, _with(bundle, engine), native)


def _tensorrt(bundle: Bundle, engine: Engine, allow_bundled_code: bool) -> Subject:
    if engine.target is None:
        raise FdcnError(f"{engine.key} does not say what it was built with; build it again: fdcn build {bundle.path}")
    narrowed = _with(bundle, engine)
    return Subject(engine.key, TENSORRT, engine.target.precision, narrowed, False, allow_bundled_code)


def _with(bundle: Bundle, engine: Engine | None) -> Bundle:
    """A bundle with no engine but this."""
    return bundle.with_engines(engine) if engine else bundle.with_engines()
