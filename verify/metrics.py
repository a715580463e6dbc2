"""How far two arrays are from each other: Polygraphy's comparisons, in float64, an array of a batch at a time.

A mean over a batch would hide one picture that is wrong among many that are right: so arrays are compared one by one,
and the worst is what counts.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from polygraphy import comparator
from polygraphy.logger import G_LOGGER

from fdcn.errors import FdcnError
from fdcn.verify.limits import Limits
from fdcn.verify.psnr import psnr

if not hasattr(comparator, "CosineSimilarityCompareFunc"):
    raise FdcnError("this Polygraphy is older than 0.53: pip install --upgrade 'fdcn[verify]'")


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of one array from its reference."""

    cosine: float
    psnr: float
    """In dB; infinite where the two are equal."""
    mean_error: float
    max_error: float
    passed: bool


def differences(
    reference: np.ndarray, candidate: np.ndarray, limits: Limits, peak: float | None = None
) -> list[Difference]:
    """Compare two batches [B, …] of real numbers, row by row.

    `peak` is the signal that PSNR is over, the largest magnitude of a row's reference where it is None.
    Raises ValueError where the shapes differ.
    """
    if reference.shape != candidate.shape:
        raise ValueError(f"shapes {reference.shape} and {candidate.shape} cannot be compared")
    want, got = ({str(i): row.astype(np.float64) for i, row in enumerate(rows)} for rows in (reference, candidate))
    simple = comparator.SimpleCompareFunc(atol=limits.absolute, rtol=limits.relative)
    cosine = comparator.CosineSimilarityCompareFunc(limits.cosine)
    # Polygraphy prints what it finds, and NaN is a finding like others.
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL), np.errstate(all="ignore"):
        results = [comparator.IterationResult(rows) for rows in (got, want)]  # relative to the second
        errors, cosines = simple(*results), cosine(*results)
        levels = {i: psnr(want[i], got[i], peak) for i in want}
    return [
        Difference(
            cosine=cosines[i].cosine_similarity,
            psnr=levels[i],
            mean_error=errors[i].mean_absdiff,
            max_error=errors[i].max_absdiff,
            passed=bool(errors[i] and cosines[i] and levels[i] >= limits.psnr and np.isfinite([want[i], got[i]]).all()),
        )
        for i in want
    ]


def worst(found: Sequence[Difference]) -> dict[str, float]:
    """The lowest cosine and PSNR, the mean of the mean errors and the largest error; NaN where one is NaN."""
    return {
        "cosine": float(np.min([d.cosine for d in found])),
        "psnr": float(np.min([d.psnr for d in found])),
        "mean_error": float(np.mean([d.mean_error for d in found])),
        "max_error": float(np.max([d.max_error for d in found])),
    }
