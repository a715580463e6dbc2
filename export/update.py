"""`fdcn update`: new weights of the same architecture into a bundle and its engines, without tracing or building."""

import dataclasses
import gc
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from fdcn import __version__
from fdcn.bundle import OPTIONS, QUANTISED, Bundle, Draft, Engine, Graph, Manifest, drafting
from fdcn.errors import FdcnError
from fdcn.export import checkpoint, engine, models, tensorrt_engine, weights
from fdcn.export.exporter import digest, export_graph
from fdcn.export.lock import changing
from fdcn.export.models.base import GraphSource, ModelSource
from fdcn.export.passes.stamp import stamp
from fdcn.export.read import read
from fdcn.export.tensorrt_job import Progress
from fdcn.export.write import write
from fdcn.sizes import latent_size

Report = Callable[[str], None]


def update(
    path: Path,
    new: Path,
    which: checkpoint.Weights = "ema",
    progress: Progress = lambda done, total: None,
    report: Report = lambda line: None,
) -> Bundle:
    """Put a checkpoint's weights into a bundle, whose settings stay; `report` is told what was done in a line each.

    An engine that cannot take them here is dropped, and the report says what builds it again. Until all is done the
    old bundle is whole. Raises FdcnError for a bad checkpoint, or one of another architecture.
    """
    loaded = checkpoint.load(new, which)
    model = models.read(loaded.tensors, str(new))
    with changing(path):
        bundle = Bundle.open(path)
        m = bundle.manifest
        _check(model, m, path, new)
        identity = {"family": model.family, "weights_sha256": digest(loaded.tensors)}
        if identity["weights_sha256"] == m.model.weights_sha256:
            report(f"{path} has these weights already")
            return bundle
        latent = None
        if m.fixed_size is not None:
            latent = latent_size((m.fixed_size[0], m.fixed_size[1]), m.model.patch, m.pixel_factor)
        with drafting(path, "graphs") as draft:
            sources = model.graphs(latent)
            renewed = {source.name: _renew(bundle, source, draft, identity, report) for source in sources}
            others = {n: draft.copy(bundle, graph) for n, graph in m.graphs.items() if n not in renewed}
            graphs = {name: (renewed | others)[name] for name in m.graphs}
            indices = range(len(m.engines))
            engines = [_renew_engine(bundle, i, graphs, renewed, draft, progress, report) for i in indices]
            described = dataclasses.replace(m.model, weights=which, weights_sha256=identity["weights_sha256"])
            kept = [engine for engine in engines if engine]
            if m.calibration:
                report(f"dropped the calibration: it is of the old weights; calibrate again: fdcn calibrate {path}")
            return draft.commit(dataclasses.replace(m, model=described, graphs=graphs, engines=kept, calibration=None))


def _check(model: ModelSource, m: Manifest, path: Path, new: Path) -> None:
    if model.family != m.model.family:
        raise FdcnError(f"{new} is a {model.family}, {path} a {m.model.family}; export it: fdcn export {new} -o …")
    differ = [
        f"{name} {model.architecture.get(name)}, there {m.model.architecture.get(name)}"
        for name in sorted(model.architecture.keys() | m.model.architecture.keys())
        if model.architecture.get(name) != m.model.architecture.get(name)
    ]
    if differ:
        raise FdcnError(
            f"{new} is of another architecture than {path} ({checkpoint.listing(differ)}); "
            f"export it on its own: fdcn export {new} -o …"
        )


def _renew(bundle: Bundle, source: GraphSource, draft: Draft, identity: Mapping[str, str], report: Report) -> Graph:
    """One graph with new weights."""
    module, _ = source.build()
    graph = read(bundle.graph(bundle.manifest.graphs[source.name]))
    try:
        shared = weights.replace(graph, module)
    except weights.Changed as reason:
        report(f"{source.name}: {reason}, so it is exported again")
        return export_graph(source, draft, identity)
    stamp(graph, source.name, __version__, {**identity, **shared})
    data = write(graph, draft.path, source.name)
    report(f"updated {source.name}")
    del module, graph
    gc.collect()
    return Graph(draft.inside(f"{source.name}.onnx"), [draft.inside(name) for name in data])


def _renew_engine(
    bundle: Bundle,
    index: int,
    graphs: Mapping[str, Graph],
    renewed: Mapping[str, Graph],
    draft: Draft,
    progress: Progress,
    report: Report,
) -> Engine | None:
    """One engine with the weights of the renewed graphs; None, and a line, where that cannot be done."""
    old, folder = bundle.manifest.engines[index], f"engine-{index}"
    if old.target is None:
        paths = {name: draft.path / Path(graph.file).name for name, graph in graphs.items()}
        made = engine.renew(old, paths, draft, folder)
        again, reason = f"fdcn build {bundle.path}", "it is of another ONNX Runtime"
        if old.precision in QUANTISED:
            again, reason = f"{again} {OPTIONS[old.precision]}", "other weights need another calibration"
    else:
        again, reason = f"fdcn build {bundle.path} {old.target.options()}", ""
        try:
            made = tensorrt_engine.refit(bundle, old, renewed, draft, folder, progress)
        except FdcnError as error:
            made, reason = None, str(error)
            shutil.rmtree(draft.path / folder, ignore_errors=True)
    if old.precision in QUANTISED:
        again = f"fdcn calibrate {bundle.path}, then {again}"
    report(f"updated {old.key}" if made else f"dropped {old.key}: {reason}; build it again: {again}")
    return made
