"""`fdcn run --build-if-missing`: an engine for this machine's GPU, built once for all who share the user cache."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from fdcn import cache, gpu
from fdcn.bundle import Bundle, Engine, Graph, drafting
from fdcn.errors import FdcnError
from fdcn.export.tensorrt_engine import make, standing
from fdcn.export.tensorrt_job import Progress
from fdcn.export.tensorrt_target import Options, Resolved, resolve

Report = Callable[[str], None]


def with_engine(
    bundle: Bundle, progress: Progress = lambda done, total: None, report: Report = lambda line: None
) -> Bundle:
    """A bundle that has an engine for this machine's GPU; unchanged where there is no GPU.

    The engine lies in the cache, and the bundle's own folder is left as it is: only the manifest of the result has the
    engine, as the newest. Precision and profiles are those of the bundle's newest TensorRT engine, else the default;
    precision is float16 where this GPU lacks that one. Raises FdcnError as `tensorrt_engine.build` does.
    """
    device = gpu.first()
    if device is None:
        return bundle
    resolved = resolve(bundle, _like(bundle, device.compute))
    home = cache.location("engine", [resolved.target.made_from])
    with cache.locked(home):
        made = _made(home, resolved)
        if made is None:
            report(f"{bundle.path} has no engine for this GPU: building one, once")
            with drafting(home, "engine") as draft:
                engine = make(bundle, resolved, draft, progress)
                # A bundle has graphs: where there are none but the engine's, these stand for them.
                graphs = engine.graphs
                alone = dataclasses.replace(bundle.manifest, graphs=graphs, engines=[engine], calibration=None)
                made = draft.commit(alone)
    return _joined(bundle, made)


def _like(bundle: Bundle, compute: str) -> Options:
    newest = next((engine.target for engine in reversed(bundle.manifest.engines) if engine.target), None)
    if newest is None:
        return Options(precision="float16")
    precision = newest.precision if gpu.has_precision(compute, newest.precision) else "float16"
    return Options(precision=precision, profiles=tuple(newest.profiles))


def _made(home: Path, resolved: Resolved) -> Bundle | None:
    """The bundle of engines alone that an earlier run has left, if it is whole."""
    try:
        made = Bundle.open(home)
    except FdcnError:
        return None
    return made if standing(made, resolved) else None


def _joined(bundle: Bundle, made: Bundle) -> Bundle:
    """A bundle and the engines of another, whose files are named by their whole paths."""
    files = {str(made.path.resolve() / name): file for name, file in made.manifest.files.items()}
    engines = [_placed(engine, made.path.resolve()) for engine in made.manifest.engines]
    manifest = dataclasses.replace(
        bundle.manifest, engines=[*bundle.manifest.engines, *engines], files={**bundle.manifest.files, **files}
    )
    return Bundle(bundle.path, manifest)


def _placed(engine: Engine, folder: Path) -> Engine:
    graphs = {name: Graph(str(folder / graph.file), []) for name, graph in engine.graphs.items()}
    assert engine.target is not None
    # The library that it was built with is installed here: there is no need for a copy of it.
    plugin = dataclasses.replace(engine.target.plugin, file=None)
    return dataclasses.replace(engine, graphs=graphs, target=dataclasses.replace(engine.target, plugin=plugin))
