"""What a comparison found: for each candidate rungs of rows, from the smallest part to the whole; as JSON too.

A rung is a list of rows, and a row names where it was measured, what was measured and whether that is enough. Whoever
reads a report (the table, the plot, the page, the JSON file) takes the names from it, so a rung may measure what it
likes.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from fdcn import __version__
from fdcn.bundle import replace_file

FORMAT = 2
"""Of the JSON file."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison."""

    at: dict[str, Any]
    """Where, as JSON values: a size, a step, a label."""
    values: dict[str, float]
    """What was measured; NaN and infinities are possible."""
    passed: bool
    note: str = ""
    """Why nothing could be measured, where that is so."""


@dataclasses.dataclass(frozen=True)
class Rung:
    """Comparisons of one kind."""

    name: str
    about: str
    """What is compared, for people."""
    limits: dict[str, float]
    """What `passed` means, by the names of values where they are checked directly."""
    rows: list[Row]
    skipped: str = ""
    """Why there are no rows, where there are none."""

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two that were compared."""

    name: str
    """As on the command line."""
    artifact: str
    """Which graphs of the bundle: an engine's key, or "portable graphs"."""
    precision: str
    backend: str
    """What the backend says of itself."""


@dataclasses.dataclass(frozen=True)
class Compared:
    """One candidate beside the reference."""

    side: Side
    rungs: list[Rung]

    @property
    def passed(self) -> bool:
        return all(rung.passed for rung in self.rungs)

    def rung(self, name: str) -> Rung | None:
        """One of the rungs, where there is such a one."""
        return next((rung for rung in self.rungs if rung.name == name), None)

    def verdict(self, reference: str) -> str:
        """In a clause: that all rungs passed, or how much of which did not."""
        failed = [
            f"{sum(not row.passed for row in rung.rows)} of {len(rung.rows)} in the {rung.name}"
            for rung in self.rungs
            if not rung.passed
        ]
        if failed:
            return f"{self.side.name} is too far from {reference}: {', '.join(failed)}"
        return f"{self.side.name} agrees with {reference}"


@dataclasses.dataclass(frozen=True)
class Album:
    """Pictures of one size, by every contender of the same classes and seeds."""

    size: str
    names: list[str]
    """What each shows."""
    seeds: list[int]
    pictures: dict[str, np.ndarray]
    """By contender, the reference first: uint8 [B, H, W, C]. Whose numbers were not finite has none."""


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole comparison; all but the albums is in the JSON file."""

    weights_sha256: str
    reference: Side
    candidates: list[Compared]
    settings: dict[str, Any]
    """The request that all ran, as JSON values."""
    albums: list[Album] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(compared.passed for compared in self.candidates)

    def verdict(self) -> str:
        """A clause for each candidate."""
        return "; ".join(compared.verdict(self.reference.name) for compared in self.candidates)

    def to_json(self) -> str:
        """The report as a JSON object; a number that is not finite is null."""
        content = {
            "format": FORMAT,
            "fdcn": __version__,
            "passed": self.passed,
            "weights_sha256": self.weights_sha256,
            "reference": dataclasses.asdict(self.reference),
            "settings": self.settings,
            "candidates": [
                {
                    "side": dataclasses.asdict(compared.side),
                    "passed": compared.passed,
                    "rungs": [{**dataclasses.asdict(rung), "passed": rung.passed} for rung in compared.rungs],
                }
                for compared in self.candidates
            ],
        }
        return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON. Raises FdcnError where that cannot be done."""
        replace_file(path, lambda file: file.write(self.to_json().encode()))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
