"""The peak signal-to-noise ratio, which needs NumPy alone."""

import math

import numpy as np


def psnr(reference: np.ndarray, candidate: np.ndarray, peak: float | None = None) -> float:
    """10·log10(peak² / mean squared error) in dB; infinite where the two are equal, NaN where one is not finite.

    `peak` is the largest magnitude of the reference where it is None.
    """
    if peak is None:
        peak = float(np.abs(reference).max(initial=0))
    error = float(np.mean((reference - candidate) ** 2))
    if error == 0:
        return math.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(10 * np.log10(peak**2 / error))
