"""A recipe without a calibration, for what is timed alone: how fast a product is does not depend on its scale.

Ranges are the largest magnitudes of one evaluation, which are what `fdcn calibrate` would find along trajectories, were
they this evaluation alone. The first and the last product stay in high precision, as they do there.
"""

from collections.abc import Mapping

import numpy as np

from fdcn.bundle import QUANTISED, Bundle
from fdcn.calib.probe import DENOISER, Probe
from fdcn.export.recipe import Activation, Recipe

NEVER = 1.0
"""The range of a value that is zero throughout."""


def recipes(bundle: Bundle, feeds: Mapping[str, np.ndarray]) -> dict[str, Recipe]:
    """A recipe a precision of a bundle's denoiser, from inputs of one evaluation by name."""
    probe = Probe(bundle)
    probe.denoise(DENOISER, **feeds)
    order = [name for readers in probe.layers for name in readers]
    kept = {order[0]: "the first", order[-1]: "the last"}
    activations = []
    for readers in probe.layers:
        if quantised := [name for name in readers if name not in kept]:
            largest = float(np.abs(probe.values[readers[0]]).max())
            activations.append(Activation(quantised, [largest or NEVER]))
    probe.close()
    weights = bundle.manifest.model.weights_sha256
    settings = {"ranges": "the largest magnitudes of one evaluation"}
    return {precision: Recipe(precision, weights, [1.0], activations, kept, settings) for precision in QUANTISED}
