"""Bundles with a calibration made by hand: ranges of a short trajectory, and recipes of any step groups."""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fdcn.bundle import Bundle, Calibration, drafting
from fdcn.calib.probe import Probe
from fdcn.export.products import activations, products
from fdcn.export.read import read
from fdcn.export.recipe import Activation, Recipe
from fdcn.runtime.pipeline import Pipeline


class Ranges:
    """A probe that remembers the largest magnitude of each value that products read."""

    def __init__(self, probe: Probe) -> None:
        self.probe, self.name, self.conditioning_bytes = probe, probe.name, probe.conditioning_bytes
        self.condition, self.decode = probe.condition, probe.decode
        self.found: dict[str, float] = {}

    def denoise(self, graph, latent, modulation, final, s_max):
        velocity = self.probe.denoise(graph, latent, modulation, final, s_max)
        for name, values in self.probe.values.items():
            self.found[name] = max(self.found.get(name, 0.0), float(np.abs(values).max()))
        return velocity


def ranges(bundle: Bundle) -> dict[str, float]:
    """Of each value, by the first product that reads it."""
    backend = Ranges(Probe(bundle))
    Pipeline(bundle, backend)([0, 1], solver="euler", steps=4)
    return backend.found


def recipe(bundle: Bundle, precision: str, found: Mapping[str, float], until: Sequence[float] = (1.0,)) -> Recipe:
    """All but the first and the last product quantised; each later group's ranges are half as large again."""
    model = read(bundle.graph(bundle.manifest.graphs["denoiser"]))
    everything = products(model)
    kept = {everything[0].name: "it is the first", everything[-1].name: "it is the last"}
    layers = []
    for readers in activations(everything).values():
        names = [product.name for product in readers if product.name not in kept]
        largest = found[readers[0].name]
        if names:
            layers.append(Activation(names, [largest * (1 + group / 2) for group in range(len(until))]))
    return Recipe(precision, bundle.manifest.model.weights_sha256, list(until), layers, kept, {})


def calibrate(bundle: Bundle, recipes: Sequence[Recipe]) -> Bundle:
    """Give a bundle these recipes."""
    m = bundle.manifest
    with drafting(bundle.path, "calibration") as draft:
        for each in recipes:
            each.save(draft.path / f"{each.precision}.json")
        (draft.path / "statistics.npz").write_bytes(b"none")
        calibration = Calibration(
            weights_sha256=m.model.weights_sha256,
            samples=2,
            sizes=[m.train_size],
            solver="euler",
            steps=4,
            guidance=4.0,
            seed=0,
            statistics=draft.inside("statistics.npz"),
            recipes={each.precision: draft.inside(f"{each.precision}.json") for each in recipes},
        )
        return draft.commit(dataclasses.replace(m, calibration=calibration))


def calibrated(bundle: Bundle, folder: Path, until: Sequence[float] = (1.0,)) -> Bundle:
    """A copy of a bundle, with a calibration for INT8 and FP8."""
    shutil.copytree(bundle.path, folder)
    copy, found = Bundle.open(folder), ranges(bundle)
    return calibrate(copy, [recipe(bundle, precision, found, until) for precision in ("int8", "fp8")])
