"""The scores of many pictures, their intervals against a bootstrap and against repetition, and what passes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.verify import distribution, fidelity
from fdcn.verify.distribution import GROUPS, METRICS, Interval, Scored, change, rows, score
from fdcn.verify.judge import Reference, Scores
from fdcn.verify.verdicts import Verdicts

CLASSES, FEATURES = 5, 3


def reference(rng, real=300):
    features = rng.normal(size=(real, FEATURES))
    return Reference(*fidelity.moments(features), features.astype(np.float16), np.full(CLASSES, real // CLASSES), {})


def verdicts(rng, pictures=400, right=0.8, shift=0.1):
    """Verdicts of which a share is right, on features that are a little off."""
    labels = np.arange(pictures) % CLASSES
    taken = np.where(rng.random(pictures) < right, labels, (labels + 1) % CLASSES)
    logits = np.eye(CLASSES, dtype=np.float32)[taken]
    return Verdicts(logits, (rng.normal(size=(pictures, FEATURES)) + shift).astype(np.float32), 1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(100, 700), st.integers(1, 40))
def test_groups_are_as_large_as_each_other_in_all_and_in_every_class(pictures, classes):
    labels = np.arange(pictures) % classes
    groups = distribution._groups(labels)
    assert np.ptp(np.bincount(groups, minlength=GROUPS)) <= 1
    for c in range(classes):
        assert np.ptp(np.bincount(groups[labels == c], minlength=GROUPS)) <= 1


@pytest.mark.parametrize("real", [150, 1000])
def test_a_score_is_the_references_and_without_a_group_that_of_the_rest(real):
    rng = np.random.default_rng(0)
    judge, found = reference(rng, real), verdicts(rng)
    scored = score(found, judge)
    assert scored.scores == judge.score(found.logits, found.features, found.labels)
    manifold = scored.scores.manifold
    assert manifold == min(real, 400)
    groups = distribution._groups(found.labels)
    for group in (0, GROUPS - 1):
        kept = groups != group
        rest, moments = kept[:manifold], fidelity.moments(found.features[kept])
        wanted = {
            "accuracy": fidelity.accuracy(found.logits[kept], found.labels[kept]),
            "frechet": fidelity.frechet_distance(judge.mean, judge.covariance, *moments),
            "precision": fidelity.precision(judge.sample[:manifold], found.features[:manifold][rest]),
            "recall": fidelity.recall(judge.sample[:manifold], found.features[:manifold][rest]),
        }
        assert {metric: scored.without[metric][group] for metric in METRICS} == pytest.approx(wanted, rel=1e-12)


def test_the_same_pictures_do_not_differ():
    rng = np.random.default_rng(0)
    scored = score(verdicts(rng), reference(rng))
    for metric in METRICS:
        assert change(scored, scored, metric) == Interval(0, 0, 0)


def perturbed(rng, found, flipped, noise):
    """What another contender makes of the same seeds: some classes turn out otherwise, features move a little."""
    logits = np.where(rng.random(len(found.logits))[:, None] < flipped, np.roll(found.logits, 1, axis=1), found.logits)
    moved = found.features + noise * rng.normal(size=found.features.shape) + noise / 2
    return Verdicts(logits, moved.astype(np.float32), 1.0)


def test_an_interval_is_as_wide_as_a_paired_bootstraps():
    # The bootstrap is right for these two; of precision and recall it is not.
    rng = np.random.default_rng(1)
    judge, first = reference(rng), verdicts(rng)
    second = perturbed(rng, first, 0.1, 0.2)
    one, two = score(first, judge), score(second, judge)
    differences = []
    for _ in range(400):
        drawn = rng.integers(0, 400, 400)
        pair = []
        for side in (first, second):
            moments = fidelity.moments(side.features[drawn])
            distance = fidelity.frechet_distance(judge.mean, judge.covariance, *moments)
            pair.append((fidelity.accuracy(side.logits[drawn], side.labels[drawn]), distance))
        differences.append(np.subtract(pair[1], pair[0]))
    for metric, deviation in zip(("accuracy", "frechet"), np.std(differences, axis=0), strict=True):
        found = change(one, two, metric)
        assert found.low < found.value < found.high
        assert 0.6 < (found.high - found.low) / 2 / (distribution.STUDENT * deviation) < 1.6


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    # One picture in ten turns out another class, and features move: repeated 40 times, 38 are expected inside.
    rng = np.random.default_rng(2)
    judge, pairs = reference(rng, 100), []
    for _ in range(40):
        first = verdicts(rng, 200)
        pairs.append([score(side, judge) for side in (first, perturbed(rng, first, 0.1, 0.3))])
    # Of eight in ten that are right a tenth is lost; what is wrong stays so.
    # Of what recall changes by there is no formula: the mean of all repetitions is close to it.
    truth = {"accuracy": -0.08, "recall": float(np.mean([change(*pair, "recall").value for pair in pairs]))}
    for metric, wanted in truth.items():
        intervals = [change(*pair, metric) for pair in pairs]
        assert sum(found.low <= wanted <= found.high for found in intervals) >= 33


def scored(accuracy, frechet, spread=0.0):
    """Scores whose change from others without spread has a standard error of about `spread`."""
    wave = np.where(np.arange(GROUPS) % 2, 1, -1) * spread / np.sqrt(GROUPS - 1)
    values = {"accuracy": accuracy, "frechet": frechet, "precision": 0.8, "recall": 0.6}
    return Scored(Scores(1000, **values, manifold=1000), {name: value + wave for name, value in values.items()})


@pytest.mark.parametrize(
    ("accuracy", "frechet", "failed"),
    [
        (0.92, 5.0, []),
        (0.911, 5.24, []),
        (0.95, 1.0, []),  # better is not worse
        (0.909, 5.0, ["accuracy"]),
        (0.92, 5.26, ["frechet"]),
        (float("nan"), float("nan"), ["accuracy", "frechet"]),
    ],
)
def test_what_passes(accuracy, frechet, failed):
    found = rows("28x28", scored(0.92, 5.0), scored(accuracy, frechet))
    assert [row.at for row in found] == [{"size": "28x28", "metric": metric} for metric in METRICS]
    assert [row.at["metric"] for row in found if not row.passed] == failed


def test_an_interval_over_the_limit_is_said():
    wide, narrow = (rows("8x8", scored(0.92, 5.0), scored(0.915, 5.0, spread)) for spread in (0.01, 0.001))
    assert [bool(row.note) for row in wide] == [True, False, False, False]
    assert wide[0].passed
    assert not any(row.note for row in narrow)
    values = narrow[0].values
    assert values["high"] - values["low"] == pytest.approx(2 * distribution.STUDENT * 0.001)
    assert (values["reference"], values["candidate"]) == (0.92, 0.915)
