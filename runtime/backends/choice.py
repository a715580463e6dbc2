"""Which TensorRT engine of a bundle this machine can load, and what to say where it can load none.

Decisions are functions of the manifest and of `Machine`, which `survey` fills in.
"""

import dataclasses
from collections.abc import Sequence
from importlib import util
from pathlib import Path

from fdcn.bundle import OPTIONS, Engine, Target
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu, has_precision
from fdcn.messages import say
from fdcn.plugins import flavours, libraries, spec, tensorrt_plugin

NAME = "tensorrt"
"""Of this backend, in manifests and on the command line."""
PREFERRED = {"library": ("library", "bundled", "python"), "python": ("python", "library")}
"""What runs the operator of an engine with a plugin, the best first."""


@dataclasses.dataclass(frozen=True)
class Installed:
    """A flavour of TensorRT that loads here."""

    version: str
    cuda: str
    """Major version of CUDA that it was made with; empty where it does not tell."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """What decides about an engine."""

    gpu: Gpu
    flavours: dict[str, Installed | str]
    """By name; a text is why one does not load, and how to get it."""
    library: bool
    """Whether the operator's library is built here."""
    compiles: bool
    """Whether the operator's Python plugin can compile its kernel here."""


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """Why an engine cannot be loaded, and the command that mends it."""

    why: str
    mend: str


def survey(gpu: Gpu, engines: Sequence[Engine]) -> Machine:
    """Ask this machine what engines depend on; loads the flavours of TensorRT that they name.

    Raises FdcnError where the packages are missing that every engine needs.
    """
    try:
        present = util.find_spec("cuda.bindings") is not None
    except ModuleNotFoundError:  # no parent for a dotted name
        present = False
    if not present:
        raise FdcnError(say("choice.no_bindings", on_cpu=say("choice.on_cpu")))
    named = {engine.target.flavour for engine in engines if engine.target}
    return Machine(
        gpu=gpu,
        flavours={name: _installed(name) for name in named},
        library=libraries.find("tensorrt") is not None,
        compiles=tensorrt_plugin.can_compile(),
    )


def choose(bundle: Path, engines: Sequence[Engine], machine: Machine, allow_bundled_code: bool) -> Engine:
    """The newest engine that a machine can load. Raises FdcnError with what is wrong with each where there is none."""
    gpu = f"{machine.gpu.name} ({machine.gpu.compute})"
    ours = [engine for engine in engines if engine.backend == NAME]
    if not ours:
        raise FdcnError(
            say("choice.no_engine", bundle=bundle, gpu=gpu, build=_build(bundle), on_cpu=say("choice.on_cpu"))
        )
    met = []
    for engine in reversed(ours):
        found = obstacle(bundle, engine, machine, allow_bundled_code)
        if found is None:
            return engine
        met.append((engine, found))
    reasons = "; ".join(f"{engine.key} {found.why}" for engine, found in met)
    mends = ", or ".join(dict.fromkeys(found.mend for _, found in met))
    raise FdcnError(
        say("choice.none_loads", bundle=bundle, gpu=gpu, reasons=reasons, mends=mends, on_cpu=say("choice.on_cpu"))
    )


def obstacle(bundle: Path, engine: Engine, machine: Machine, allow_bundled_code: bool) -> Obstacle | None:
    """What keeps a machine from loading an engine; None where nothing does."""
    target = engine.target
    if target is None:
        return Obstacle(say("choice.no_target"), _build(bundle))
    possible = has_precision(machine.gpu.compute, target.precision)
    option = OPTIONS.get(target.precision if possible else "float16")
    build = _build(bundle, f" {option}" if option else "")
    installed = machine.flavours[target.flavour]
    if isinstance(installed, str):
        why = say("choice.does_not_load", flavour=target.flavour, version=target.version)
        return Obstacle(why, installed)
    if installed.version != target.version:
        why = say("choice.other_version", flavour=target.flavour, version=target.version, found=installed.version)
        return Obstacle(why, build)
    if target.cuda and installed.cuda and target.cuda != installed.cuda:
        why = say("choice.other_cuda", wanted=target.cuda, flavour=target.flavour, found=installed.cuda)
        return Obstacle(why, build)
    if installed.cuda and int(installed.cuda) > int(machine.gpu.cuda.partition(".")[0]):
        # TensorRT ends the process where it finds such a driver.
        gpu = machine.gpu
        why = say("choice.old_driver", wanted=installed.cuda, driver=gpu.driver, newest=gpu.cuda)
        return Obstacle(why, say("choice.update_driver"))
    if machine.gpu.compute not in target.compute:
        why = say("choice.other_gpu", architectures=", ".join(target.compute), found=machine.gpu.compute)
        return Obstacle(why, build)
    return _plugin_obstacle(target, machine, allow_bundled_code, build)


def operator(target: Target, machine: Machine, allow_bundled_code: bool) -> str | None:
    """What runs the operator of an engine here: its plugin's kind, "bundled", or None where nothing can.

    "bundled" is the library inside the bundle. Library and Python plugin take each other's place: an engine keeps no
    more of them than the node's attributes, and every build of one version of the operator computes the same.
    """
    if target.plugin.kind in ("aot", "none"):
        return target.plugin.kind
    bundled = allow_bundled_code and target.plugin.file is not None
    here = {"library": machine.library, "bundled": bundled, "python": machine.compiles}
    return next((name for name in PREFERRED.get(target.plugin.kind, ()) if here[name]), None)


def _plugin_obstacle(target: Target, machine: Machine, allow_bundled_code: bool, build: str) -> Obstacle | None:
    plugin = target.plugin
    if plugin.kind != "none" and plugin.version != spec.VERSION:
        return Obstacle(say("choice.other_operator", wanted=plugin.version, found=spec.VERSION), build)
    if operator(target, machine, allow_bundled_code) is None:
        mend = say("choice.plugin_in_python_or_bundle" if plugin.file else "choice.plugin_in_python")
        return Obstacle(say("choice.no_plugin"), mend)
    return None


def _installed(name: str) -> Installed | str:
    if name not in flavours.NAMES:
        return say("choice.unknown_flavour", flavours=", ".join(flavours.NAMES))
    try:
        flavour = flavours.load(name)
    except FdcnError as error:
        return str(error)
    return Installed(flavour.version, flavour.cuda)


def _build(bundle: Path, precision: str = " --fp16") -> str:
    return say("choice.build", bundle=bundle, options=precision)
