"""A network of six products in NumPy, which stands for a bundle's in tests of what a search decides."""

import dataclasses
from types import SimpleNamespace

import numpy as np

from fdcn.calib.evaluations import Evaluation
from fdcn.calib.statistics import Measured
from fdcn.export.scales import rounded, scale

TIMES = np.float32([0, 0.25, 0.5, 0.75])
WIDTH = 24
NAMES = ("embed", "blocks.0.a", "blocks.0.b", "blocks.1.a", "blocks.1.b", "head")
BUNDLE = SimpleNamespace(manifest=SimpleNamespace(model=SimpleNamespace(weights_sha256="toy")))


@dataclasses.dataclass(frozen=True)
class Product:
    """What a search reads of `products.Product`."""

    name: str
    weight: np.ndarray

    @property
    def role(self):
        return self.name.replace("0", "*").replace("1", "*")

    def values(self):
        return self.weight


def _weights():
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH) for name in NAMES}
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


class Toy:
    """Stands for `Switches`: the network with products quantised as they are asked to be."""

    def __init__(self, bundle, precision):
        assert bundle is BUNDLE
        self._precision, self._weights = precision, _weights()
        self.products = [Product(name, weight) for name, weight in self._weights.items()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def feeds(self, settings):
        return dict(settings)

    def run(self, inputs, feeds, reads=None):
        """x [B, WIDTH] → [B, WIDTH]: sums of half of them with tanh of a product of them; `reads` gets what is read."""
        x = inputs["latent"]
        for name in NAMES:
            y, weight = x, self._weights[name]
            if reads is not None:
                reads[name] = y
            if name in feeds:
                setting = feeds[name]
                divisor = np.float32(1) if setting.migration is None else setting.migration
                weight = weight * np.reshape(divisor, (-1, 1))
                weight = rounded(weight, scale(np.abs(weight).max(0), self._precision), self._precision)
                y = rounded(y / divisor, scale(setting.range, self._precision), self._precision)
            x = x / 2 + inputs["magnitude"] * np.tanh(y @ weight)
        return x


def measured(magnitudes):
    """Statistics, rows and evaluations of the network where values at each time have a magnitude."""
    toy, rng = Toy(BUNDLE, "int8"), np.random.default_rng(1)
    layers = [Measured.empty([name], len(TIMES), WIDTH) for name in NAMES]
    rows = {name: np.zeros((len(TIMES), 32, WIDTH), np.float32) for name in NAMES}
    evaluations = []
    for i, (t, magnitude) in enumerate(zip(TIMES, magnitudes, strict=True)):
        latent = magnitude * rng.standard_normal((32, WIDTH)).astype(np.float32)
        inputs, reads = {"latent": latent, "magnitude": np.float32(magnitude)}, {}
        toy.run(inputs, {}, reads)
        for layer in layers:
            assert layer.add(i, reads[layer.name])
            rows[layer.name][i] = reads[layer.name]
        other = magnitude * rng.standard_normal((32, WIDTH)).astype(np.float32)
        evaluations.append(Evaluation(float(t), inputs | {"latent": other}))
    return SimpleNamespace(times=TIMES, activations=layers), rows, evaluations
