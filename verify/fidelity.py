"""How close two sets of pictures are, from a classifier's features and logits: pure NumPy, in float64."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

NEIGHBOURS = 3
"""k of precision and recall, as in their paper."""
_ROWS_AT_ONCE = 1024


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Share of pictures that are classified as what they should show.

    Args: logits [N, classes]; labels [N], class indices. Raises ValueError for other shapes, none, NaN and infinities.
    """
    logits, labels = _rows(logits, "logits"), np.asarray(labels)
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels must have shape {list(logits.shape[:1])}, not {list(labels.shape)}")
    return float(np.mean(logits.argmax(1) == labels))


def moments(features: ArrayLike) -> tuple[Array, Array]:
    """Mean [D] and unbiased covariance [D, D] of features [N, D].

    Raises ValueError for another shape, fewer than two rows, NaN and infinities.
    """
    features = _rows(features, "features")
    if len(features) < 2:
        raise ValueError("a covariance needs at least two rows of features")
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def frechet_distance(mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike) -> float:
    """Squared 2-Wasserstein distance of two Gaussians: |m_a − m_b|² + tr(A + B − 2·(A·B)^½), at least 0.

    Dowson and Landau 1982; as a distance of features, Heusel et al. 2017 (arXiv 1706.08500, section 2, FID). The trace
    of (A·B)^½ is the sum of the singular values of A^½·B^½: they are real and not negative, so nothing is complex or
    NaN where a covariance is singular (a feature that is never active), and rounding costs 1e-14, not its root.

    Args: means [D]; covariances [D, D], symmetric and positive semidefinite.
    Raises ValueError for shapes that do not fit, NaN, infinities and a covariance that is not symmetric.
    """
    mean_a, covariance_a = _gaussian(mean_a, covariance_a)
    mean_b, covariance_b = _gaussian(mean_b, covariance_b)
    if mean_a.shape != mean_b.shape:
        raise ValueError(f"{len(mean_a)} and {len(mean_b)} features cannot be compared")
    overlap = np.linalg.svd(_square_root(covariance_a) @ _square_root(covariance_b), compute_uv=False).sum()
    shift = mean_a - mean_b
    return max(0.0, float(shift @ shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap))


def precision(real: ArrayLike, generated: ArrayLike, neighbours: int = NEIGHBOURS) -> float:
    """Share of generated pictures that lie in the manifold of real ones: are they realistic?

    Kynkäänniemi et al. 2019 (arXiv 1904.06991, equations 1 and 2): the manifold of a set is the union of balls around
    its points, each as far as the k-th nearest other point of the set. It depends on how many points there are, so
    numbers compare only where every set has the same.

    Args: features real [N, D] and generated [M, D]; `neighbours` is k.
    Raises ValueError for shapes that do not fit, k outside 1 … N − 1, NaN and infinities.
    """
    return float(inside(generated, real, neighbours).mean())


def recall(real: ArrayLike, generated: ArrayLike, neighbours: int = NEIGHBOURS) -> float:
    """Share of real pictures that lie in the manifold of generated ones: is all of the variety there?

    As `precision` with the two sets exchanged.
    """
    return float(inside(real, generated, neighbours).mean())


def inside(points: ArrayLike, manifold: ArrayLike, neighbours: int = NEIGHBOURS) -> NDArray[np.bool_]:
    """Which points lie in the manifold of a set, as `precision` defines it.

    Args: features points [N, D] and manifold [M, D]. Returns bool [N]. Raises as `precision` does.
    """
    points, manifold = _rows(points, "features"), _rows(manifold, "features")
    if points.shape[1] != manifold.shape[1]:
        raise ValueError(f"{points.shape[1]} and {manifold.shape[1]} features cannot be compared")
    if not 1 <= neighbours < len(manifold):
        raise ValueError(f"{neighbours} neighbours cannot be found among {len(manifold)} points")
    # The nearest of all is the point itself.
    radius = np.concatenate(
        [np.partition(d, neighbours, axis=1)[:, neighbours] for d in _squared_distances(manifold, manifold)]
    )
    return np.concatenate([(d <= radius).any(1) for d in _squared_distances(points, manifold)])


def _square_root(matrix: Array) -> Array:
    """The symmetric root of a symmetric positive semidefinite [D, D]; eigenvalues that rounding made negative are 0."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _squared_distances(a: Array, b: Array) -> Iterator[Array]:
    """The squared distances [N, M] of a [N, D] and b [M, D], some rows at a time."""
    for start in range(0, len(a), _ROWS_AT_ONCE):
        rows = a[start : start + _ROWS_AT_ONCE]
        yield np.maximum((rows**2).sum(1)[:, None] + (b**2).sum(1) - 2 * rows @ b.T, 0)


def _rows(values: ArrayLike, what: str) -> Array:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{what} must be [N, D] with at least one row, not {list(array.shape)}")
    return _finite(array, what)


def _gaussian(mean: ArrayLike, covariance: ArrayLike) -> tuple[Array, Array]:
    mean = _finite(np.asarray(mean, np.float64), "the mean")
    covariance = _finite(np.asarray(covariance, np.float64), "the covariance")
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"mean {list(mean.shape)} and covariance {list(covariance.shape)} are not [D] and [D, D]")
    if not np.allclose(covariance, covariance.T, rtol=1e-5, atol=1e-8 * np.abs(covariance).max()):
        raise ValueError("the covariance is not symmetric")
    return mean, (covariance + covariance.T) / 2


def _finite(array: Array, what: str) -> Array:
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite: there are NaN or infinities")
    return array
