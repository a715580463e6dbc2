"""Two backends compared call for call, on what one of them samples."""

import dataclasses
from typing import Any

import numpy as np

from fdcn.bundle import Bundle
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.pipeline import Pipeline
from fdcn.verify.limits import NETWORK

SIZES = ((28, 28), (56, 28), (28, 84), (10, 12), (84, 84))
"""Five sizes within the default profile of the shipped checkpoint."""
COUNTS = (1, 3, 7)
"""Pictures: two, six and fourteen rows of the network, the last more than a profile's eight."""
REQUEST = {"solver": "euler", "steps": 6, "guidance": 2.0}


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far one array of a call is from the reference's."""

    cosine: float
    """The least over the batch; NaN where anything is not finite."""
    largest: float
    mean: float


class Beside:
    """Answers as the reference does, and asks the other backend the same."""

    def __init__(self, reference: Backend, other: Backend) -> None:
        self.reference, self.other = reference, other
        self.name, self.conditioning_bytes = f"{other.name} beside {reference.name}", reference.conditioning_bytes
        self.seen: dict[str, list[Difference]] = {"condition": [], "denoise": [], "decode": []}

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted, got = (backend.condition(t, label) for backend in (self.reference, self.other))
        self.seen["condition"] += [difference(a, b) for a, b in zip(got, wanted, strict=True)]
        return wanted

    def denoise(self, graph: str, *given: np.ndarray) -> np.ndarray:
        wanted, got = (backend.denoise(graph, *given) for backend in (self.reference, self.other))
        self.seen["denoise"].append(difference(got, wanted))
        return wanted

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        wanted, got = (backend.decode(latent) for backend in (self.reference, self.other))
        assert (wanted is None) == (got is None)
        if wanted is not None and got is not None:
            self.seen["decode"].append(difference(got, wanted))
        return wanted


def difference(got: np.ndarray, wanted: np.ndarray) -> Difference:
    """Compare two batches of arrays, in float64."""
    assert got.shape == wanted.shape, f"{got.shape}, not {wanted.shape}"
    assert got.dtype == wanted.dtype == np.float32
    a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (got, wanted))
    off = np.abs(a - b)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.divide((a * b).sum(1), norms, out=np.ones(len(a)), where=norms != 0)
    return Difference(float(cosine.min()), float(off.max()), float(off.mean()))


def compare(bundle: Bundle, reference: Backend, other: Backend, precision: str) -> tuple[dict[str, Any], list[str]]:
    """Numbers of each kind of call by size and count, and what is not close enough."""
    numbers, complaints, least = {}, [], NETWORK[precision].cosine
    for width, height in SIZES:
        for count in COUNTS:
            both = Beside(reference, other)
            Pipeline(bundle, both)(range(count), size=(width, height), **REQUEST)  # type: ignore[arg-type]
            case = f"{width}x{height}, {count} pictures"
            numbers[case] = {call: _summary(seen) for call, seen in both.seen.items() if seen}
            assert len(both.seen["denoise"]) == REQUEST["steps"]
            for call, seen in both.seen.items():
                low = [d.cosine for d in seen if not d.cosine >= least]  # NaN is low, too
                if low:
                    complaints.append(f"{case}, {call}: cosine {low[0]:.6f} is under {least}")
    return numbers, complaints


def _summary(seen: list[Difference]) -> dict[str, Any]:
    """The worst of all calls, and the cosine of each in order."""
    return {
        "cosine": [round(d.cosine, 8) for d in seen],
        "largest": max(d.largest for d in seen),
        "mean": max(d.mean for d in seen),
    }
