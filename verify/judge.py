"""What judges generated pictures: a classifier in ONNX, and how real pictures look to it."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from fdcn.bundle import replace_file, sha256
from fdcn.errors import FdcnError
from fdcn.verify import fidelity

PICTURES_AT_ONCE = 500


class Classifier:
    """An ONNX file with the input `picture`, float32 [B, C, H, W] in [-1, 1], and two outputs.

    `logits` is [B, classes], `features` [B, D], both float32. C, H and W are fixed. Raises FdcnError for other files.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
            raise FdcnError(f"cannot load the classifier {path}: {error}") from error
        self.path, self.sha256 = path, sha256(path)
        inputs = {i.name: i.shape for i in self._session.get_inputs()}
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        if list(inputs) != ["picture"] or not {"logits", "features"} <= outputs.keys():
            raise FdcnError(
                f"{path} has inputs {', '.join(inputs)} and outputs {', '.join(outputs)}; "
                "a classifier has the input picture and the outputs logits and features"
            )
        shapes = [inputs["picture"], outputs["logits"], outputs["features"]]
        fixed = [side for shape in shapes for side in shape[1:]]
        if [len(shape) for shape in shapes] != [4, 2, 2] or not all(isinstance(side, int) for side in fixed):
            raise FdcnError(
                f"{path} takes {inputs['picture']} and gives {outputs['logits']} and {outputs['features']}; a "
                "classifier takes [batch, C, H, W] and gives [batch, classes] and [batch, D], all but the batch fixed"
            )
        self.channels, self.height, self.width, self.classes, self.features = fixed

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits [N, classes] and features [N, D] of float pictures [N, C, H, W] in [-1, 1] of any size.

        Raises FdcnError for pictures of other channels, and where what it says of them is not finite.
        """
        if pictures.shape[1] != self.channels:
            raise FdcnError(f"the classifier takes {self.channels} channels, the pictures have {pictures.shape[1]}")
        logits, features = [], []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            batch = resize(pictures[start : start + PICTURES_AT_ONCE], self.width, self.height)
            result = self._session.run(["logits", "features"], {"picture": np.ascontiguousarray(batch, np.float32)})
            if not all(np.isfinite(output).all() for output in result):
                raise FdcnError(f"the classifier {self.path} gives NaN or infinities; take another")
            logits.append(result[0])
            features.append(result[1])
        return np.concatenate(logits), np.concatenate(features)


@dataclasses.dataclass(frozen=True)
class Scores:
    """One row of the table; `manifold` says of how many pictures precision and recall are."""

    pictures: int
    accuracy: float
    frechet: float
    precision: float
    recall: float
    manifold: int


@dataclasses.dataclass(frozen=True)
class Reference:
    """Real pictures as a classifier sees them: all that is needed to score others without the data set."""

    mean: np.ndarray
    """float64 [D]."""
    covariance: np.ndarray
    """float64 [D, D]."""
    sample: np.ndarray
    """float16 [S, D], features of the first pictures of a draw with as many of each class: for precision and recall."""
    class_counts: np.ndarray
    """int64 [classes]: how many pictures of each class `mean` and `covariance` are of."""
    about: dict[str, Any]
    """The classifier's sha256 and accuracy, how both files were made, and `rows`: `Scores` of real pictures by name."""

    @classmethod
    def load(cls, path: Path, classifier: Classifier) -> "Reference":
        """Read a file of `save`. Raises FdcnError where it is damaged or was made with another classifier."""
        try:
            with np.load(path) as file:
                arrays = {field.name: file[field.name] for field in dataclasses.fields(cls)}
            reference = cls(**{**arrays, "about": json.loads(str(arrays["about"]))})
            judged_by = reference.about["classifier_sha256"]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise FdcnError(f"{path} is no reference of real pictures ({error}); docs/verify.md says how") from error
        if judged_by != classifier.sha256:
            raise FdcnError(
                f"{path} was made with another classifier than {classifier.path}: {judged_by[:12]}…, not "
                f"{classifier.sha256[:12]}…; name two that were made together"
            )
        if wrong := reference._wrong(classifier):
            raise FdcnError(f"{path} is damaged: its {wrong}; make it again")
        return reference

    def _wrong(self, classifier: Classifier) -> str | None:
        """What of the arrays cannot be of a classifier."""
        d = classifier.features
        shapes = {"mean": (d,), "covariance": (d, d), "sample": (len(self.sample), d)}
        for name, shape in {**shapes, "class_counts": (classifier.classes,)}.items():
            found: np.ndarray = getattr(self, name)
            if found.shape != shape:
                return f"{name} is {list(found.shape)}, not {list(shape)}"
            if not np.isfinite(found).all():
                return f"{name} has NaN or infinities"
        return None if np.allclose(self.covariance, self.covariance.T) else "covariance is not symmetric"

    def save(self, path: Path) -> None:
        """Write everything as one .npz."""
        buffer = io.BytesIO()
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        np.savez_compressed(buffer, **{**arrays, "about": np.array(json.dumps(self.about))})
        replace_file(path, lambda file: file.write(buffer.getvalue()))

    def score(self, logits: np.ndarray, features: np.ndarray, labels: np.ndarray) -> Scores:
        """Score pictures by what the classifier says of them.

        Precision and recall take the first pictures, as many as there are in the sample: they should have as many of
        each class. With fewer, both sets are cut to the smaller number, and only rows of that number compare.
        """
        manifold = min(len(features), len(self.sample))
        real, generated = self.sample[:manifold], features[:manifold]
        return Scores(
            pictures=len(features),
            accuracy=fidelity.accuracy(logits, labels),
            frechet=fidelity.frechet_distance(self.mean, self.covariance, *fidelity.moments(features)),
            precision=fidelity.precision(real, generated),
            recall=fidelity.recall(real, generated),
            manifold=manifold,
        )


def resize(pictures: np.ndarray, width: int, height: int) -> np.ndarray:
    """Stretch float pictures [N, C, H, W] to a size: bilinear, averaging where they shrink.

    The same as torch's interpolate with antialias, and as Pillow's BILINEAR.
    """
    if pictures.shape[2:] == (height, width):
        return pictures
    rows, columns = _weights(pictures.shape[2], height), _weights(pictures.shape[3], width)
    return rows @ pictures @ columns.T


def _weights(size: int, wanted: int) -> np.ndarray:
    """Matrix [wanted, size] that resamples one axis with a triangle as wide as a pixel of the coarser grid."""
    ratio = size / wanted
    centre = (np.arange(wanted, dtype=np.float32)[:, None] + 0.5) * ratio
    weight = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - centre) / max(1.0, ratio))
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)
