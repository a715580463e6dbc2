"""What a classifier says of many pictures of one contender: kept as it comes, so that a long run goes on where it was.

Only that is kept of the pictures, and under the hash of all that it follows from: what a run has already heard of the
reference, the next one with another candidate does not ask again, and one of more pictures asks the rest.
"""

import dataclasses
import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fdcn import __version__
from fdcn.bundle import replace_file
from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline
from fdcn.verify.judge import Classifier

PICTURES_A_CALL = 250
"""The network's conditioning is computed once a call: with so many pictures it costs nothing."""


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Of picture i, which is of class i mod classes and has seed `seed` + i."""

    logits: np.ndarray
    """float32 [N, classes]."""
    features: np.ndarray
    """float32 [N, D]."""
    seconds: float
    """That sampling took."""

    @property
    def labels(self) -> np.ndarray:
        """int64 [N]: the class that each picture should show."""
        return np.arange(len(self.logits)) % self.logits.shape[1]

    def first(self, pictures: int) -> "Verdicts":
        """Of the first pictures alone; the time is their share."""
        share = self.seconds * pictures / max(len(self.logits), 1)
        return Verdicts(self.logits[:pictures], self.features[:pictures], share)


def kept_at(folder: Path, pipe: Pipeline, contender: str, sampling: Mapping[str, Any], classifier: Classifier) -> Path:
    """Where verdicts are kept: `contender` is all that tells one of a model from another.

    `sampling` holds arguments of `Pipeline.__call__` as JSON values, the first picture's seed among them.
    """
    manifest = pipe.bundle.manifest
    made_from = {
        "fdcn": __version__,
        "weights": manifest.model.weights_sha256,
        "defaults": dataclasses.asdict(manifest.sampling),
        "contender": contender,
        "backend": pipe.backend.name,
        "sampling": dict(sampling),
        "classifier": classifier.sha256,
    }
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return folder / f"verdicts-{digest[:16]}.npz"


def collect(
    pipe: Pipeline,
    sampling: Mapping[str, Any],
    classifier: Classifier,
    pictures: int,
    kept: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdicts:
    """Sample and judge pictures up to so many, and keep what is said after each call of the pipeline.

    `sampling` holds arguments of `Pipeline.__call__`; its seed is that of picture 0. Raises FdcnError where a picture
    is not finite, the classifier does not take them, or what was kept is damaged.
    """
    options = dict(sampling)
    first = int(options.pop("seed", 0))
    verdicts = _load(kept, classifier)
    kept.parent.mkdir(parents=True, exist_ok=True)
    while (start := len(verdicts.logits)) < pictures:
        numbers = range(start, min(start + PICTURES_A_CALL, pictures))
        labels = [number % classifier.classes for number in numbers]

        def partly(done: int, total: int, numbers: range = numbers) -> None:
            progress(numbers.start + done * len(numbers) // total, pictures)

        began = time.perf_counter()
        images = pipe(labels=labels, seeds=[first + number for number in numbers], progress=partly, **options)
        took = time.perf_counter() - began
        logits, features = classifier(images.pixels.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
        verdicts = Verdicts(
            np.concatenate([verdicts.logits, logits]),
            np.concatenate([verdicts.features, features]),
            verdicts.seconds + took,
        )
        _save(kept, verdicts)
    return verdicts.first(pictures)


def _load(path: Path, classifier: Classifier) -> Verdicts:
    """What was kept; nothing where there is no file yet."""
    try:
        with np.load(path) as file:
            verdicts = Verdicts(file["logits"], file["features"], float(file["seconds"]))
    except FileNotFoundError:
        logits, features = (np.empty((0, width), np.float32) for width in (classifier.classes, classifier.features))
        return Verdicts(logits, features, 0.0)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise FdcnError(f"{path} is damaged ({error}); delete it, and its pictures are sampled again") from error
    return verdicts


def _save(path: Path, verdicts: Verdicts) -> None:
    arrays = dataclasses.asdict(verdicts)
    replace_file(path, lambda file: np.savez(file, **arrays))
