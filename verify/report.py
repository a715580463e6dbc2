"""What a comparison found: rungs of rows, from the smallest part to the whole; as JSON too.

A rung is a list of rows, and a row names where it was measured, what was measured and whether that is enough. Whoever
reads a report (the table, the plot, the JSON file) takes the names from it, so a rung may measure what it likes.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from fdcn import __version__
from fdcn.bundle import replace_file

FORMAT = 1
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
    """Which graphs of the bundle: an engine's key, or "portable"."""
    precision: str
    backend: str
    """What the backend says of itself."""


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole comparison."""

    weights_sha256: str
    reference: Side
    candidate: Side
    settings: dict[str, Any]
    """The request that both ran, as JSON values."""
    rungs: list[Rung]

    @property
    def passed(self) -> bool:
        return all(rung.passed for rung in self.rungs)

    def verdict(self) -> str:
        """In a clause: that all rungs passed, or how much of which did not."""
        failed = [
            f"{sum(not row.passed for row in rung.rows)} of {len(rung.rows)} in the {rung.name}"
            for rung in self.rungs
            if not rung.passed
        ]
        if failed:
            return f"{self.candidate.name} is too far from {self.reference.name}: {', '.join(failed)}"
        return f"{self.candidate.name} agrees with {self.reference.name}"

    def to_json(self) -> str:
        """The report as a JSON object; a number that is not finite is null."""
        content = {
            "format": FORMAT,
            "fdcn": __version__,
            "passed": self.passed,
            **dataclasses.asdict(self),
            "rungs": [{**dataclasses.asdict(rung), "passed": rung.passed} for rung in self.rungs],
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
