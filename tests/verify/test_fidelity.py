"""The metrics of pictures against independent oracles, and the committed classifier against its reference."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdcn.errors import FdcnError
from fdcn.verify import fidelity, judge

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def covariance(rng: np.random.Generator, features: int, rank: int) -> np.ndarray:
    factor = rng.normal(size=(features, rank))
    return factor @ factor.T


def square_root(matrix: np.ndarray) -> np.ndarray:
    """Denman and Beavers' iteration (1976): needs no eigenvalues and no symmetry."""
    root, inverse = matrix, np.eye(len(matrix))
    for _ in range(60):
        root, inverse = (root + np.linalg.inv(inverse)) / 2, (inverse + np.linalg.inv(root)) / 2
    return root


@pytest.mark.parametrize("features", [1, 5, 40])
def test_frechet_distance_is_that_of_the_definition(rng: np.random.Generator, features: int) -> None:
    mean_a, mean_b = rng.normal(size=(2, features))
    a, b = covariance(rng, features, 2 * features), covariance(rng, features, 2 * features)
    root = square_root(a @ b)
    assert root @ root == pytest.approx(a @ b, rel=1e-6, abs=1e-6)
    want = ((mean_a - mean_b) ** 2).sum() + np.trace(a + b - 2 * root)
    assert fidelity.frechet_distance(mean_a, a, mean_b, b) == pytest.approx(want, rel=1e-8)


def test_frechet_distance_of_independent_features_is_the_closed_form(rng: np.random.Generator) -> None:
    mean_a, mean_b = rng.normal(size=(2, 30))
    deviation_a, deviation_b = rng.uniform(0, 3, size=(2, 30))
    deviation_a[:10] = 0  # features that are never active
    want = ((mean_a - mean_b) ** 2 + (deviation_a - deviation_b) ** 2).sum()
    got = fidelity.frechet_distance(mean_a, np.diag(deviation_a**2), mean_b, np.diag(deviation_b**2))
    assert got == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("rank", [3, 20])
def test_frechet_distance_of_a_shift_is_its_square(rng: np.random.Generator, rank: int) -> None:
    mean, shift, spread = *rng.normal(size=(2, 20)), covariance(rng, 20, rank)
    assert fidelity.frechet_distance(mean, spread, mean + shift, spread) == pytest.approx(shift @ shift, rel=1e-12)
    assert 0 <= fidelity.frechet_distance(mean, spread, mean, spread) < 1e-11


def test_moments_are_those_of_numpy(rng: np.random.Generator) -> None:
    features = rng.normal(size=(50, 7)) + 100
    mean, spread = fidelity.moments(features)
    assert mean == pytest.approx(features.mean(0))
    assert spread == pytest.approx(np.cov(features, rowvar=False))


def share_inside(points: np.ndarray, manifold: np.ndarray, k: int) -> float:
    """Precision and recall, one distance at a time."""
    inside = 0
    for point in points:
        hit = False
        for i, centre in enumerate(manifold):
            others = sorted(float(np.linalg.norm(centre - other)) for j, other in enumerate(manifold) if j != i)
            hit |= float(np.linalg.norm(point - centre)) <= others[k - 1]
        inside += hit
    return inside / len(points)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_those_of_a_scalar_loop(
    rng: np.random.Generator, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fidelity, "_ROWS_AT_ONCE", 7)  # so that the sets come in several blocks, the last one smaller
    real, generated = rng.normal(size=(40, 4)), rng.normal(size=(25, 4)) + 1
    precision, recall = share_inside(generated, real, k), share_inside(real, generated, k)
    assert 0 < precision < 1
    assert 0 < recall < 1
    assert precision != recall
    assert fidelity.precision(real, generated, k) == pytest.approx(precision)
    assert fidelity.recall(real, generated, k) == pytest.approx(recall)


def test_the_same_pictures_are_all_there_and_distant_ones_are_not(rng: np.random.Generator) -> None:
    real = rng.normal(size=(30, 4))
    assert fidelity.precision(real, real) == fidelity.recall(real, real) == 1
    assert fidelity.precision(real, real + 100) == fidelity.recall(real, real + 100) == 0
    collapsed = np.repeat(real[:5], 6, axis=0)  # five pictures again and again: each is real, most are missing
    assert fidelity.precision(real, collapsed) == 1
    assert fidelity.recall(real, collapsed) < 0.2


def test_accuracy_is_the_share_of_largest_logits() -> None:
    logits = [[0.0, 2, 1], [3, 2, 1], [0, 0, 1], [-3, -2, -1]]
    assert fidelity.accuracy(logits, [1, 1, 2, 2]) == 0.75


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(rng: np.random.Generator, poison: float) -> None:
    good = rng.normal(size=(10, 3))
    bad = good.copy()
    bad[4, 1] = poison
    mean, spread = fidelity.moments(good)
    poisoned = spread.copy()
    poisoned[0, 0] = poison
    calls = [
        lambda: fidelity.moments(bad),
        lambda: fidelity.accuracy(bad, np.zeros(10)),
        lambda: fidelity.precision(good, bad),
        lambda: fidelity.precision(bad, good),
        lambda: fidelity.recall(good, bad),
        lambda: fidelity.frechet_distance(bad[4], spread, mean, spread),
        lambda: fidelity.frechet_distance(mean, spread, mean, poisoned),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="finite"):
            call()


def test_what_does_not_fit_is_refused(rng: np.random.Generator) -> None:
    three, four = rng.normal(size=(10, 3)), rng.normal(size=(10, 4))
    calls = [
        lambda: fidelity.precision(three, four),
        lambda: fidelity.recall(three, three[:3]),  # three points have no third neighbour
        lambda: fidelity.precision(three, three, 0),
        lambda: fidelity.moments(three[:1]),
        lambda: fidelity.moments(three[0]),
        lambda: fidelity.accuracy(three, [0, 1]),
        lambda: fidelity.accuracy(np.empty((0, 3)), []),
        lambda: fidelity.frechet_distance(*fidelity.moments(three), *fidelity.moments(four)),
        lambda: fidelity.frechet_distance(np.zeros(2), np.array([[1.0, 0.5], [0, 1]]), np.zeros(2), np.eye(2)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\w"):
            call()


@pytest.mark.parametrize("size", [(28, 28), (28, 56), (56, 28), (14, 14), (37, 19)])
def test_resize_is_that_of_pillow(rng: np.random.Generator, size: tuple[int, int]) -> None:
    pictures = rng.uniform(-1, 1, size=(2, 1, *size)).astype(np.float32)
    want = [
        np.asarray(Image.fromarray(p[0]).resize((28, 28), Image.Resampling.BILINEAR, reducing_gap=None))
        for p in pictures
    ]
    assert judge.resize(pictures, 28, 28)[:, 0] == pytest.approx(np.stack(want), abs=1e-5)


@pytest.fixture(scope="module")
def classifier() -> judge.Classifier:
    return judge.Classifier(BENCHMARKS / "classifier.onnx")


@pytest.fixture(scope="module")
def reference(classifier: judge.Classifier) -> judge.Reference:
    return judge.Reference.load(BENCHMARKS / "reference.npz", classifier)


def test_the_classifier_takes_any_number_of_pictures_of_any_size(classifier: judge.Classifier) -> None:
    for count, size in ((1, (28, 28)), (judge.PICTURES_AT_ONCE + 3, (28, 28)), (2, (56, 28))):
        logits, features = classifier(np.zeros((count, 1, *size), np.float32))
        assert logits.shape == (count, classifier.classes) == (count, 10)
        assert features.shape == (count, classifier.features)
        assert logits.dtype == features.dtype == np.float32


def test_pictures_of_other_channels_are_refused(classifier: judge.Classifier) -> None:
    with pytest.raises(FdcnError, match="1 channels, the pictures have 3"):
        classifier(np.zeros((1, 3, 28, 28), np.float32))


def test_the_reference_fits_the_classifier(reference: judge.Reference, classifier: judge.Classifier) -> None:
    features = classifier.features
    assert reference.mean.shape == (features,)
    assert reference.covariance.shape == (features, features)
    assert reference.sample.shape == (3000, features)
    assert np.array_equal(reference.covariance, reference.covariance.T)
    assert np.linalg.eigvalsh(reference.covariance).min() > -1e-9
    assert reference.class_counts.tolist() == [1000] * classifier.classes
    # The sample is a part of what the moments are of.
    spread = np.sqrt(np.diag(reference.covariance) / len(reference.sample))
    assert (np.abs(reference.sample.astype(np.float64).mean(0) - reference.mean) < 4 * spread + 1e-3).all()


def test_the_rows_of_real_pictures_are_in_order(reference: judge.Reference) -> None:
    real, halved = reference.about["rows"]["real"], reference.about["rows"]["halved"]
    assert reference.about["test_accuracy"] > 0.92
    assert real["accuracy"] > halved["accuracy"]
    assert 0 < real["frechet"] < halved["frechet"] / 5
    assert real["recall"] > halved["recall"]
    assert real["pictures"] == halved["pictures"] == 10_000


def test_a_reference_of_another_classifier_is_refused(
    reference: judge.Reference, classifier: judge.Classifier, tmp_path: Path
) -> None:
    reference.about["classifier_sha256"], kept = "0" * 64, reference.about["classifier_sha256"]
    try:
        reference.save(tmp_path / "other.npz")
    finally:
        reference.about["classifier_sha256"] = kept
    with pytest.raises(FdcnError, match="another classifier"):
        judge.Reference.load(tmp_path / "other.npz", classifier)


def test_files_of_something_else_are_refused(classifier: judge.Classifier, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"nothing")
    with pytest.raises(FdcnError, match="cannot load the classifier"):
        judge.Classifier(other)
    with pytest.raises(FdcnError, match="no reference"):
        judge.Reference.load(other, classifier)
