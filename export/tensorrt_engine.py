"""`fdcn build --fp16`, `--gpu sm_86`: a bundle's graphs as TensorRT engines, for this machine or for others."""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from fdcn import cache, gpu
from fdcn.bundle import QUANTISED, Bundle, Draft, Engine, Graph, Target, drafting, engine_key
from fdcn.errors import FdcnError
from fdcn.export import profiles, quantised, tensorrt_job
from fdcn.export.lock import changing
from fdcn.export.recipe import Recipe
from fdcn.export.tensorrt_job import GraphJob, Job, Progress
from fdcn.export.tensorrt_target import Options, Resolved, find_plugin, graph_hashes, made_from, resolve
from fdcn.plugins import flavours, libraries

NAME = "tensorrt"
"""Of the backend that runs these engines."""


@dataclasses.dataclass(frozen=True)
class Built:
    """An engine and the bundle that now holds it as its newest. Where it is not `fresh` it was there already."""

    bundle: Bundle
    engine: Engine
    fresh: bool
    recipe: Recipe | None = None
    """What it was quantised by: TensorRT has been seen to read every product so."""


def build(bundle: Bundle, options: Options, progress: Progress = lambda done, total: None) -> Built:
    """Add an engine to a bundle, in the place of one with the same flavour, version, architectures and precision.

    Builds of one bundle wait for each other. Where there is an engine made from the same graphs, with the same options
    and code, it becomes the newest and nothing else is done. Raises FdcnError where there is no TensorRT, no such GPU,
    a precision that it lacks, no calibration for one, an impossible profile, a graph that TensorRT refuses, or too
    little memory or disk.
    """
    with changing(bundle.path):
        bundle = Bundle.open(bundle.path)
        resolved = resolve(bundle, options)
        recipe = resolved.found.recipe if resolved.found else None
        there = standing(bundle, resolved)
        if there:
            return Built(bundle.with_newest(there), there, False, recipe)
        with drafting(bundle.path, "engine") as draft:
            engine = make(bundle, resolved, draft, progress)
            others = [e for e in bundle.manifest.engines if (e.backend, e.key) != (engine.backend, engine.key)]
            manifest = dataclasses.replace(bundle.manifest, engines=[*others, engine])
            return Built(draft.commit(manifest), engine, True, recipe)


def standing(bundle: Bundle, resolved: Resolved) -> Engine | None:
    """An engine of the bundle that building would only make again, its files whole."""
    for engine in bundle.manifest.engines:
        if engine.target and engine.target.made_from == resolved.target.made_from:
            with contextlib.suppress(FdcnError):
                for graph in engine.graphs.values():
                    bundle.graph(graph)
                if engine.target.plugin.file:
                    bundle.file(engine.target.plugin.file)
                return engine
    return None


def make(bundle: Bundle, resolved: Resolved, draft: Draft, progress: Progress) -> Engine:
    """Build every graph of a bundle into a draft."""
    target, found = resolved.target, resolved.found
    graphs = _graphs(bundle, resolved, draft)
    with scratch(draft) as folder, _checking(bundle):
        tensorrt_job.run(_job(target, resolved.library, resolved.compute, folder, graphs), progress)
    if resolved.library:
        file = libraries.LIBRARIES["tensorrt"].file
        shutil.copyfile(resolved.library, draft.path / file)
        plugin = dataclasses.replace(target.plugin, file=draft.inside(file))
        target = dataclasses.replace(target, plugin=plugin)
    made = {graph.name: Graph(draft.inside(Path(graph.destination).name), []) for graph in graphs}
    groups = quantised.step_groups(found.recipe) if found else []
    return Engine(NAME, engine_key(target), made, target, groups, found.sha256 if found else None)


def _graphs(bundle: Bundle, resolved: Resolved, draft: Draft) -> list[GraphJob]:
    """What to build of each graph of a bundle; of a denoiser with a recipe, one for each step group."""
    found, jobs = resolved.found, []
    for portable, graph in bundle.manifest.graphs.items():
        recipe = found.recipe if found and portable == quantised.GRAPH else None
        for group, name in enumerate(quantised.graph_names(recipe) if recipe else [portable]):
            job = GraphJob(
                name=name,
                source=str((bundle.path / graph.file).resolve()),
                destination=str(draft.path.resolve() / f"{name}.engine"),
                profiles=profiles.axes(portable, resolved.target.profiles, bundle.manifest.pixel_factor),
                recipe=str((bundle.path / found.file).resolve()) if found and recipe else None,
                group=group,
            )
            jobs.append(job)
    return jobs


def refit(
    bundle: Bundle, engine: Engine, graphs: Mapping[str, Graph], draft: Draft, folder: str, progress: Progress
) -> Engine:
    """An engine of a bundle with the weights of other graphs of a draft, in a folder of it.

    `graphs` may leave some out: those keep their weights. Raises FdcnError, with the reason, where it cannot be done
    on this machine.
    """
    target = engine.target
    assert target is not None
    library = refits_here(target)
    inside = draft.path.resolve() / folder
    engine = draft.copy_engine(bundle, engine, folder)
    with scratch(draft) as temporary:
        jobs = []
        for name, graph in graphs.items():
            old = inside / f"{name}.engine"
            destination = inside / f"{name}.refitted"
            source = draft.path.resolve() / PurePosixPath(graph.file).name
            jobs.append(GraphJob(name, str(source), str(destination), [], engine=str(old)))
        tensorrt_job.run(_job(target, library, [], temporary, jobs), progress)
    for done in jobs:
        Path(done.destination).replace(done.engine or "")
    hashes = {**target.onnx_sha256, **graph_hashes(graphs, draft.file)}
    assert engine.target is not None
    renewed = dataclasses.replace(engine.target, onnx_sha256=hashes)
    # Of older code it stays: the next build will make it anew.
    current = made_from(renewed) if target.made_from == made_from(target) else ""
    return dataclasses.replace(engine, target=dataclasses.replace(renewed, made_from=current))


def refits_here(target: Target) -> Path | None:
    """The plugin library that refitting takes, None for another plugin. FdcnError where it cannot be done here."""
    if target.precision in QUANTISED:
        raise FdcnError("other weights need another calibration")
    if not target.refittable:
        raise FdcnError("it was built without --refit")
    device = gpu.first()
    if device is None or device.compute not in target.compute:
        here = device.compute if device else "none"
        raise FdcnError(f"its weights can be exchanged on a GPU of {' or '.join(target.compute)}, here is {here}")
    found = flavours.load(target.flavour)
    if found.version != target.version:
        raise FdcnError(f"it needs {target.flavour} {target.version}, here is {found.version}")
    return find_plugin(found, target.plugin.kind)[1]


@contextlib.contextmanager
def _checking(bundle: Bundle) -> Iterator[None]:
    """Check the portable graphs in the meantime: where one is damaged, that is the error, whatever else went wrong."""
    with ThreadPoolExecutor(1) as pool:
        checks = [pool.submit(bundle.graph, graph) for graph in bundle.manifest.graphs.values()]
        try:
            yield
        finally:
            for check in checks:
                check.result()


def _job(target: Target, library: Path | None, compute: list[str], folder: Path, graphs: list[GraphJob]) -> Job:
    full = target.flavour == "tensorrt"  # RTX times nothing: its kernels are chosen where they run
    timings = cache.location("timing.cache", [target.flavour, target.version, *target.compute]) if full else None
    return Job(
        flavour=target.flavour,
        precision=target.precision,
        plugin=target.plugin.kind,
        library=str(library.resolve()) if library else None,
        compute=compute,
        workspace=target.workspace,
        refit=target.refittable,
        timing_cache=str(timings.resolve()) if timings else None,
        folder=str(folder),
        graphs=graphs,
    )


@contextlib.contextmanager
def scratch(draft: Draft) -> Iterator[Path]:
    """A folder for files as large as the weights, on the bundle's disk and gone before the draft is committed."""
    with tempfile.TemporaryDirectory(dir=draft.path) as folder:
        yield Path(folder).resolve()
