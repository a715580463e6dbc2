"""`fdcn calibrate`: measure a bundle on trajectories, search for its recipes, and put both into it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort

from fdcn import __version__
from fdcn.bundle import Bundle, Calibration, drafting
from fdcn.calib import keep, statistics
from fdcn.calib.drift import drift
from fdcn.calib.measure import measure
from fdcn.calib.probe import Probe
from fdcn.calib.progress import Kept, Told
from fdcn.calib.search import Options, search
from fdcn.calib.statistics import Statistics
from fdcn.calib.trajectories import Settings
from fdcn.errors import FdcnError
from fdcn.export import recipe
from fdcn.export.lock import changing
from fdcn.export.recipe import Recipe

ASKED = ("method", "keep", "budget")
"""Fields of `search.Options` that a recipe's settings repeat, so that a later run knows what it would find."""
FILE = "statistics.npz"


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A bundle with its calibration, opened."""

    bundle: Bundle
    statistics: Statistics
    recipes: dict[str, Recipe]
    """By precision."""
    fresh: bool
    """Whether it was made now; else it was there."""


def calibrate(
    bundle: Bundle,
    settings: Settings,
    options: Options,
    told: Told = lambda what, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Calibrated:
    """Calibrate a bundle, or find that it is, with the same settings; an interrupted run goes on where it was.

    `told` hears how far each stage is, `say` a line about what begins. Until all is done the bundle is as it
    was, but for a folder with what is to go on from. Raises FdcnError for what `measure` and `search` cannot do, and
    where the bundle got other weights meanwhile.
    """
    there = standing(bundle, settings, options)
    if there is not None:
        return there
    keep.budget(options.budget)  # what is asked for in vain is said before the work
    probe = Probe(bundle)
    keep.listed([name for products in probe.layers for name in products], options.keep)
    say(f"sampling {settings.samples} pictures with {probe.name}")
    kept = Kept(bundle.path, _made_from(bundle, settings, options, probe), told)
    measured, rows = measure(bundle, settings, probe, kept)
    del probe  # its session, before the search opens its own
    recipes = search(measured, rows.arrays(), bundle, options, kept)
    made = _commit(bundle, settings, measured, {name: _asked(found, options) for name, found in recipes.items()})
    kept.remove()
    return made


def standing(bundle: Bundle, settings: Settings, options: Options) -> Calibrated | None:
    """The calibration of a bundle that `calibrate` would only make again, its files whole."""
    there = bundle.manifest.calibration
    if there is None or there.weights_sha256 != bundle.manifest.model.weights_sha256:
        return None
    try:
        measured = statistics.load(bundle.file(there.statistics))
        recipes = {name: recipe.load(bundle.file(path)) for name, path in there.recipes.items()}
    except FdcnError:
        return None  # damaged: made again
    asked = _texts(options)
    same = all(asked.items() <= found.settings.items() for found in recipes.values())
    return Calibrated(bundle, measured, recipes, False) if same and measured.settings == settings.texts() else None


def describe(made: Calibrated) -> list[str]:
    """What was found, in lines for people."""
    settings, layers = made.statistics.settings, made.statistics.activations
    pictures = f"{settings['samples']} pictures of {settings['sizes'].replace(' ', ', ')}"
    done = "measured" if made.fresh else "nothing to do, there are"
    lines = [f"{done} {len(layers)} activations at {len(made.statistics.times)} times, on {pictures}"]
    drifts = {layer.name: drift(layer.largest) for layer in layers}
    most = max(drifts, key=drifts.__getitem__)
    lines.append(f"ranges drift over t by {np.median(list(drifts.values())):.2f}x, {most} most: {drifts[most]:.2f}x")
    for name, found in made.recipes.items():
        count = len(found.quantised())
        lines.append(f"{name}: {count} of {count + len(found.kept)} products")
        # The same drift is in both recipes, of the same statistics.
        lines += [f"  {key}: {text}" for key, text in found.settings.items() if key not in ("drift", *ASKED)]
        lines += [f"  kept {product}: {reason}" for product, reason in found.kept.items()]
    return lines


def _commit(bundle: Bundle, settings: Settings, measured: Statistics, recipes: dict[str, Recipe]) -> Calibrated:
    with changing(bundle.path):
        now = Bundle.open(bundle.path)
        weights = now.manifest.model.weights_sha256
        if weights != bundle.manifest.model.weights_sha256:
            raise FdcnError(f"{bundle.path} got other weights while it was measured; run fdcn calibrate again")
        with drafting(bundle.path, "calibration") as draft:
            measured.save(draft.path / FILE)
            for name, found in recipes.items():
                found.save(draft.path / f"{name}.json")
            described = Calibration(
                weights_sha256=weights,
                samples=settings.samples,
                sizes=[list(size) for size in settings.sizes],
                solver=settings.solver,
                steps=settings.steps,
                guidance=settings.guidance,
                seed=settings.seed,
                statistics=draft.inside(FILE),
                recipes={name: draft.inside(f"{name}.json") for name in recipes},
            )
            written = draft.commit(dataclasses.replace(now.manifest, calibration=described))
    return Calibrated(written, measured, recipes, True)


def _asked(found: Recipe, options: Options) -> Recipe:
    return dataclasses.replace(found, settings={**found.settings, **_texts(options)})


def _texts(options: Options) -> dict[str, str]:
    return {name: str(getattr(options, name)) for name in ASKED}


def _made_from(bundle: Bundle, settings: Settings, options: Options, probe: Probe) -> dict[str, Any]:
    """All that the numbers depend on: work that was begun with anything else is not gone on with."""
    graphs, files = bundle.manifest.graphs, bundle.manifest.files
    return {
        "weights": bundle.manifest.model.weights_sha256,
        "graphs": {path: files[path].sha256 for graph in graphs.values() for path in (graph.file, *graph.data)},
        "settings": settings.texts(),
        # A refused budget does not cost the measurements again: neither they nor the sweep's rows depend on it.
        "options": {name: text for name, text in _texts(options).items() if name != "budget"},
        "version": [__version__, statistics.VERSION],
        "run by": [probe.name, ort.__version__],
    }
