"""A bundle's TensorRT engines as they are, for Triton's TensorRT backend: a model a graph, without the sampler."""

import shlex
import shutil
from pathlib import Path

from fdcn.bundle import Bundle, Engine, Plugin, Target
from fdcn.errors import FdcnError
from fdcn.serve.tritonserver.config import plan_config
from fdcn.serve.tritonserver.repository import VERSION, check_name, new_model

FLAVOUR = "tensorrt"
LIBRARY = "libfdcn_tensorrt.so"
LOADABLE = ("library", "aot", "none")
"""Kinds of plugin that a server without Python can run."""


def write_plans(repository: Path, name: str, bundle: Bundle) -> list[Path]:
    """Write the graphs of the newest engine that Triton's TensorRT backend can load, each as NAME_GRAPH.

    The operator's library lies beside the plan of each, where the engine needs it. Returns the models' folders.
    Raises FdcnError where there is no such engine, with the command that builds one, and as `new_model` does.
    """
    engine = plain_engine(bundle)
    library = plugin_of(engine).file
    for graph in engine.graphs:  # before one of them is written
        check_name(repository, f"{name}_{graph}")
    models = []
    for graph, files in engine.graphs.items():
        with new_model(repository, f"{name}_{graph}") as made:
            (made / "config.pbtxt").write_text(plan_config(f"{name}_{graph}"), "utf-8")
            (made / VERSION).mkdir()
            shutil.copyfile(bundle.graph(files), made / VERSION / "model.plan")
            if library:
                shutil.copyfile(bundle.file(library), made / LIBRARY)
        models.append(repository / f"{name}_{graph}")
    return models


def plain_engine(bundle: Bundle) -> Engine:
    """The newest engine that needs neither TensorRT-RTX nor Python. Raises FdcnError where there is none."""
    targets = [(engine, engine.target) for engine in bundle.manifest.engines if engine.target]
    for engine, target in reversed(targets):
        if target.flavour == FLAVOUR and _loadable(target.plugin):
            return engine
    why = "; ".join(f"{engine.key} {_obstacle(target)}" for engine, target in targets) or "it has none"
    build = f"fdcn build {shlex.quote(str(bundle.path))} --fp16 --plugin library"
    raise FdcnError(
        f"{bundle.path} has no engine for Triton's TensorRT backend: {why}. On a machine with the GPU that is to "
        f"serve and the TensorRT of Triton's container: {build}"
    )


def plugin_of(engine: Engine) -> Plugin:
    """The operator's plugin in an engine that has a target."""
    assert engine.target is not None
    return engine.target.plugin


def _loadable(plugin: Plugin) -> bool:
    return plugin.kind in LOADABLE and (plugin.kind != "library" or plugin.file is not None)


def _obstacle(target: Target) -> str:
    if target.flavour != FLAVOUR:
        return "is of TensorRT for RTX, which that backend does not load"
    if target.plugin.kind == "library":
        return "has no plugin library in the bundle"
    return "has its operator in Python, which that backend does not run"
