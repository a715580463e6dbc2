"""From statistics to recipes: what is quantised, with which ranges, and what stays in high precision."""

from collections.abc import Mapping

import numpy as np

from fdcn.bundle import QUANTISED, Bundle
from fdcn.calib import drift, evaluations, keep, smoothing
from fdcn.calib.choices import Choices, Options
from fdcn.calib.layers import Layer
from fdcn.calib.sensitivity import Progress, Sweep
from fdcn.calib.statistics import Measured, Statistics
from fdcn.calib.switches import Switches
from fdcn.export.recipe import Recipe

__all__ = ["Options", "search"]


def search(
    statistics: Statistics,
    rows: Mapping[str, np.ndarray],
    bundle: Bundle,
    options: Options,
    progress: Progress,
) -> dict[str, Recipe]:
    """Find a recipe for each precision, "int8" and "fp8".

    `rows` has, by the name of an activation's first product, a sample of its rows at each of the T times, float32
    [T, R, K]. Raises FdcnError for a `keep` that names no product, a budget that cannot be held, and with `keep` "none"
    for a product whose range is zero.
    """
    limit = keep.budget(options.budget)
    names = [name for measured in statistics.activations for name in measured.products]
    keep.listed(names, options.keep)  # a name that is wrong is said before the work
    recorded = evaluations.record(bundle, options.solver, options.steps, options.guidance, options.seed)
    found: dict[str, Recipe] = {}
    as_many: int | None = None
    for precision in QUANTISED:
        with Switches(bundle, precision) as switches:
            layers, smoothed = _smooth(statistics, rows, switches, options.method, precision)
            sweep = Sweep(switches, recorded)
            one = Choices(bundle, options, precision, np.asarray(statistics.times), layers, sweep)
            one.settings |= {"drift": _drift(statistics), "smoothing": smoothed}
            one.choose_groups()
            if options.keep == keep.AUTO:
                # Speed is measured where a processor has the kernels, in INT8; FP8 then keeps as many.
                as_many = one.keep_sensitive(limit, progress, as_many if limit.speed else None)
            found[precision] = one.recipe()
    return found


def _drift(statistics: Statistics) -> str:
    """How far the ranges drift that were measured, before migration."""
    drifts = {measured.name: drift.drift(measured.largest) for measured in statistics.activations}
    most = max(drifts, key=drifts.__getitem__)
    return f"{np.median(list(drifts.values())):.2f}x over t, {most} most: {drifts[most]:.2f}x"


def _smooth(
    statistics: Statistics, rows: Mapping[str, np.ndarray], switches: Switches, method: str, precision: str
) -> tuple[list[Layer], str]:
    """The layers in the network's order, migrated where that helps; and what was found, by role."""
    roles: dict[str, list[Measured]] = {}
    role_of = {product.name: product.role for product in switches.products}
    for measured in statistics.activations:
        roles.setdefault("+".join(role_of[name] for name in measured.products), []).append(measured)
    found: dict[str, Layer] = {}
    texts = []
    for role, members in roles.items():
        weights = {p.name: p.values() for p in switches.products if any(p.name in m.products for m in members)}
        layers, alpha, gain = smoothing.search(members, rows, weights, method, precision)
        found |= {layer.name: layer for layer in layers}
        texts += [f"{role} {alpha:g} ({gain:.1f} dB)"] if alpha is not None else []
    return [found[measured.name] for measured in statistics.activations], ", ".join(texts) or "none helps"
