"""Every contender's many pictures before one judge, and what that adds to a report."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline
from fdcn.sizes import format_size
from fdcn.verify import distribution
from fdcn.verify.contenders import Contender
from fdcn.verify.judge import Classifier, Reference
from fdcn.verify.report import Report, Row, Rung
from fdcn.verify.sampled import Progress, part
from fdcn.verify.verdicts import Verdicts, collect, kept_at

NAME = "distribution"


@dataclasses.dataclass(frozen=True)
class Judge:
    """What judges, how many pictures of each contender and size, and the folder where its verdicts are kept."""

    classifier: Classifier
    reference: Reference
    pictures: int
    folder: Path


def open_judge(bundle: Bundle, classifier: Path, reference: Path, pictures: int, folder: Path) -> Judge:
    """Read both files. Raises FdcnError where they are not of each other, or not of a bundle's classes."""
    judge = Classifier(classifier)
    model = bundle.manifest.model
    if judge.classes != model.classes:
        raise FdcnError(f"{classifier} knows {judge.classes} classes, {bundle.path} has {model.classes}; name another")
    return Judge(judge, Reference.load(reference, judge), pictures, folder)


def with_distribution(
    report: Report,
    bundle: Bundle,
    contenders: Sequence[Contender],
    judge: Judge,
    request: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]] = (),
    progress: Progress = lambda done, total: None,
) -> Report:
    """A report with the rung "distribution" for each candidate.

    `contenders` are the reference and the report's candidates. `request` has arguments of `Pipeline.__call__`, of
    which labels and count do not count: the classes take turns. Each of `sizes` has its own pictures; by default that
    is the training size, or the one that the bundle is fixed to. Raises FdcnError as `verdicts.collect` does.
    """
    manifest = bundle.manifest
    width, height = manifest.fixed_size or manifest.train_size
    sizes = list(sizes) or [(width, height)]
    options = {name: value for name, value in request.items() if name not in ("labels", "count")}
    rows: list[list[Row]] = [[] for _ in report.candidates]
    runs = len(sizes) * len(contenders)
    for i, size in enumerate(sizes):
        parts = [part(progress, i * len(contenders) + j, runs) for j in range(len(contenders))]
        sampling = {**options, "size": list(size)}
        scored = [
            distribution.score(sample(bundle, contender, judge, sampling, told), judge.reference)
            for contender, told in zip(contenders, parts, strict=True)
        ]
        for found, candidate in zip(rows, scored[1:], strict=True):
            found += distribution.rows(format_size(size), scored[0], candidate)
    compared = [
        dataclasses.replace(compared, rungs=[*compared.rungs, _rung(judge, found)])
        for compared, found in zip(report.candidates, rows, strict=True)
    ]
    judged = {"pictures": judge.pictures, "classifier_sha256": judge.classifier.sha256}
    return dataclasses.replace(report, candidates=compared, settings={**report.settings, **judged})


def sample(
    bundle: Bundle, contender: Contender, judge: Judge, sampling: Mapping[str, Any], progress: Progress
) -> Verdicts:
    """The verdicts of one contender's pictures, those that were kept among them; `sampling` as `kept_at` takes it."""
    made_of = hashlib.sha256(" ".join(contender.files).encode()).hexdigest()
    with Pipeline(bundle, contender.backend) as pipe:
        kept = kept_at(judge.folder, pipe, made_of, sampling, judge.classifier)
        return collect(pipe, sampling, judge.classifier, judge.pictures, kept, progress)


def _rung(judge: Judge, rows: list[Row]) -> Rung:
    about = f"{judge.pictures:,} pictures each, of the same classes and seeds, beside real ones"
    return Rung(NAME, about, dict(distribution.LIMITS), rows)
