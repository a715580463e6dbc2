"""`fdcn bundle merge`: the engines of two bundles of one model in one bundle."""

import dataclasses
from pathlib import Path

from fdcn.bundle import Bundle, drafting
from fdcn.errors import FdcnError
from fdcn.export.lock import changing

_SAME = ("model", "operator", "fixed_size", "pixel_factor")
"""What two bundles must agree on, apart from their graphs' files."""


def merge(first: Path, second: Path, output: Path | None = None) -> Bundle:
    """Add the second bundle's engines to the first, or both bundles' to a new one.

    Of two engines of one backend and key the second bundle's is taken. Everything else is the first bundle's, and the
    second's calibration where the first has none.
    Raises FdcnError for bundles of different weights or graphs, a damaged file, or an output that is there already.
    """
    target = output or first
    if output is not None and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FdcnError(f"{output} is there already; name a new folder with -o")
    with changing(target):
        a, b = Bundle.open(first), Bundle.open(second)
        _check(a, b)
        added = {(engine.backend, engine.key) for engine in b.manifest.engines}
        kept = [engine for engine in a.manifest.engines if (engine.backend, engine.key) not in added]
        with drafting(target, "graphs" if output else "engine") as draft:
            graphs = a.manifest.graphs
            if output:
                graphs = {name: draft.copy(a, graph) for name, graph in graphs.items()}
                kept = [draft.copy_engine(a, engine, f"first-{i}") for i, engine in enumerate(kept)]
            engines = kept + [draft.copy_engine(b, e, f"second-{i}") for i, e in enumerate(b.manifest.engines)]
            source = a if a.manifest.calibration else b
            calibration = source.manifest.calibration
            if calibration and (output or source is b):
                calibration = draft.copy_calibration(source, calibration, "calibration")
            merged = dataclasses.replace(a.manifest, graphs=graphs, engines=engines, calibration=calibration)
            return draft.commit(merged)


def _check(a: Bundle, b: Bundle) -> None:
    if a.manifest.model.weights_sha256 != b.manifest.model.weights_sha256:
        found, wanted = (m.manifest.model.weights_sha256[:12] for m in (b, a))
        raise FdcnError(
            f"{b.path} has other weights ({found}…) than {a.path} ({wanted}…); give both the same ones: "
            f"fdcn update {b.path} CHECKPOINT"
        )
    differ = [name for name in _SAME if getattr(a.manifest, name) != getattr(b.manifest, name)]
    graphs = sorted(a.manifest.graphs.keys() | b.manifest.graphs.keys())
    differ += [f"graph {name}" for name in graphs if _content(a, name) != _content(b, name)]
    if differ:
        raise FdcnError(
            f"{b.path} is of the same weights as {a.path}, but was exported differently ({', '.join(differ)}); "
            f"copy one exported bundle to every machine, and build there"
        )


def _content(bundle: Bundle, name: str) -> list[str] | None:
    graph = bundle.manifest.graphs.get(name)
    return [bundle.manifest.files[path].sha256 for path in (graph.file, *graph.data)] if graph else None
