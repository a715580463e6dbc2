"""SmoothQuant: divide the channels of an activation, multiply the rows of the weights that read it.

Xiao et al. 2022 (arXiv 2211.10438, equations 3 and 4): s_k = max|X_k|^α / max|W_k|^(1-α). An activation has one range
for all of its channels, a weight has one for each output: so α moves magnitude to where there is more room for it.
One α serves all layers of a role: the sample of rows that it is chosen by is small, and layers of a role are alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fdcn.calib import layers, ranges
from fdcn.calib.layers import Layer
from fdcn.calib.statistics import Measured
from fdcn.export.scales import rounded, scale

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
GAIN = 0.5
"""Decibels of a role's output error that migration must gain: the shipped model's blocks gain 1.8 to 3.0 in INT8. In
FP8, whose steps are relative so that channels of different magnitude do not disturb each other, they gain 0.3 at most,
and the network's output nothing."""

Weights = NDArray[np.float32]


def factors(largest: NDArray[np.float32], weights: Sequence[Weights], alpha: float) -> NDArray[np.float32]:
    """Equation 4's s [K], for the largest magnitudes [K] of a value's channels and all weights [K, N] that read it.

    Its geometric mean is 1, so that values keep about their magnitude; 1 where a channel or its weights are all zero.
    """
    x = largest.astype(np.float64)
    w = np.max([np.abs(weight).max(1) for weight in weights], axis=0).astype(np.float64)
    used = (x > 0) & (w > 0)
    exponent = np.zeros(len(x))
    exponent[used] = alpha * np.log(x[used]) - (1 - alpha) * np.log(w[used])
    exponent[used] -= exponent[used].mean() if used.any() else 0.0
    return np.exp(exponent).astype(np.float32)


def output_error(
    layer: Layer, rows: NDArray[np.float32], weights: Sequence[Weights], method: str, precision: str
) -> float:
    """The squared error of a layer's products on rows [n, K] when all is quantised, over the products' power."""
    divisor = np.float32(1) if layer.migration is None else layer.migration
    inputs = rounded(rows / divisor, scale(layer.range(method, precision), precision), precision)
    error = power = 0.0
    for weight in weights:
        exact, multiplied = rows @ weight, weight * np.reshape(divisor, (-1, 1))
        scales = scale(np.abs(multiplied).max(0), precision)
        quantised = inputs @ rounded(multiplied, scales, precision)
        error += float(np.square(quantised - exact, dtype=np.float64).sum())
        power += float(np.square(exact, dtype=np.float64).sum())
    return error / power if power else 0.0


def search(
    role: Sequence[Measured],
    rows: Mapping[str, NDArray[np.float32]],
    weights: Mapping[str, Weights],
    method: str,
    precision: str,
) -> tuple[list[Layer], float | None, float]:
    """The layers of a role with the α that serves them best, that α, and the decibels that it gains; None and 0
    where none gains enough.

    `rows` has, by an activation's name, a sample [T, R, K]; `weights` are by product.
    """
    unchanged = [layers.plain(measured) for measured in role]
    before = _errors(unchanged, rows, weights, method, precision)
    best, best_alpha, best_gain = unchanged, None, 0.0
    for alpha in ALPHAS:
        tried = [
            layers.migrated(each, rows[each.name], factors(each.channels.max(0), _read_by(each, weights), alpha))
            for each in role
        ]
        after = _errors(tried, rows, weights, method, precision)
        # The geometric mean: a layer that errs a thousand times less than others counts as much.
        gains = [ranges.decibels(b / a) for b, a in zip(before, after, strict=True) if a > 0 and b > 0]
        gain = float(np.mean(gains)) if gains else 0.0
        if gain >= GAIN and gain > best_gain:
            best, best_alpha, best_gain = tried, alpha, gain
    return best, best_alpha, best_gain


def _errors(
    found: Sequence[Layer],
    rows: Mapping[str, NDArray[np.float32]],
    weights: Mapping[str, Weights],
    method: str,
    precision: str,
) -> list[float]:
    flat = {layer.name: rows[layer.name].reshape(-1, rows[layer.name].shape[-1]) for layer in found}
    return [
        # What is always zero has no range, and no error.
        output_error(layer, flat[layer.name], _read_by(layer, weights), method, precision) if layer.largest.any() else 0
        for layer in found
    ]


def _read_by(layer: Layer | Measured, weights: Mapping[str, Weights]) -> list[Weights]:
    return [weights[product] for product in layer.products]
