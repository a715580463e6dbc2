"""The last rung: not whether two pictures are alike, but whether many pictures of one are as good as those of another.

Every contender samples the same classes and seeds, so that what is left of a difference is the contender's doing. Its
interval is that of a jackknife over groups of seeds (Shao and Tu, The Jackknife and Bootstrap, 1995, section 2.3), in
which both sides leave out the same group. A bootstrap would draw some pictures twice: a picture that is there twice has
a neighbour at no distance, and precision and recall are made of distances to neighbours.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from fdcn.verify import fidelity
from fdcn.verify.judge import Reference, Scores
from fdcn.verify.report import Row
from fdcn.verify.verdicts import Verdicts

METRICS = ("accuracy", "frechet", "precision", "recall")
ACCURACY_LOST, FRECHET_GROWN = 0.01, 0.05
"""The most that a candidate may lose: of the class accuracy, a share of all pictures; of the Fréchet distance, a share
of the reference's."""
LIMITS = {"accuracy_lost": ACCURACY_LOST, "frechet_grown": FRECHET_GROWN}
GROUPS = 20
STUDENT = 2.093
"""Quantile 0.975 of Student's distribution with GROUPS − 1 degrees of freedom."""
FEWEST_PICTURES = 100
"""Fewer say nothing: a group would have less than five."""


@dataclasses.dataclass(frozen=True)
class Scored:
    """The scores of a contender's pictures, and what they are without each group of seeds."""

    scores: Scores
    without: Mapping[str, np.ndarray]
    """By metric, float64 [GROUPS]."""

    def __getitem__(self, metric: str) -> float:
        return float(getattr(self.scores, metric))


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference, and between what it lies with 95% confidence."""

    value: float
    low: float
    high: float


def score(verdicts: Verdicts, reference: Reference) -> Scored:
    """Score pictures against real ones, with all groups and without each."""
    logits, features, labels = verdicts.logits, verdicts.features, verdicts.labels
    scores = reference.score(logits, features, labels)
    groups, manifold = _groups(labels), scores.manifold
    right = logits.argmax(1) == labels
    real, generated = reference.sample[:manifold], features[:manifold]
    realistic = fidelity.inside(generated, real)
    without = np.empty((GROUPS, len(METRICS)))
    for group in range(GROUPS):
        kept = groups != group
        part = kept[:manifold]
        moments = fidelity.moments(features[kept])
        without[group] = (
            right[kept].mean(),
            fidelity.frechet_distance(reference.mean, reference.covariance, *moments),
            realistic[part].mean(),
            fidelity.recall(real, generated[part]),
        )
    return Scored(scores, dict(zip(METRICS, without.T, strict=True)))


def change(reference: Scored, candidate: Scored, metric: str) -> Interval:
    """How much larger a metric is for a candidate than for the reference, on pictures of the same seeds."""
    value = candidate[metric] - reference[metric]
    without = candidate.without[metric] - reference.without[metric]
    error = math.sqrt((GROUPS - 1) / GROUPS * float(((without - without.mean()) ** 2).sum()))
    return Interval(value, value - STUDENT * error, value + STUDENT * error)


def rows(size: str, reference: Scored, candidate: Scored) -> list[Row]:
    """A row for each metric; accuracy and Fréchet distance have limits, precision and recall say where a loss is."""
    worst = {"accuracy": -ACCURACY_LOST, "frechet": FRECHET_GROWN * reference["frechet"]}
    found = []
    for metric in METRICS:
        interval = change(reference, candidate, metric)
        values = {"reference": reference[metric], "candidate": candidate[metric], "change": interval.value}
        values |= {"low": interval.low, "high": interval.high}
        passed, note = True, ""
        if metric in worst:
            passed = interval.value >= worst[metric] if metric == "accuracy" else interval.value <= worst[metric]
            if interval.low < worst[metric] < interval.high:
                note = "undecided: more pictures"
        found.append(Row({"size": size, "metric": metric}, values, passed, note))
    return found


def _groups(labels: np.ndarray) -> np.ndarray:
    """int64 [N]: the group of each picture; groups are as large as each other, in all and in every class."""
    groups = np.empty(len(labels), np.int64)
    groups[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % GROUPS
    return groups
