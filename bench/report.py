"""What was measured, as rows; and as JSON, with every sample."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from fdcn.bench.timing import Spread, spread
from fdcn.bench.work import Work
from fdcn.bundle import replace_file
from fdcn.errors import FdcnError

KIND, FORMAT = "fdcn bench", 1
"""What the JSON file says it is."""
NETWORK, PICTURE = "network", "picture"
_DERIVED = ("percentiles", "pictures_per_second")
"""What a row of the file has beside its fields, for other readers."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was timed."""

    what: str
    """"network", one evaluation of the denoiser; or "picture", from labels to encoded files."""
    engine: str
    """Its key, or "portable"."""
    backend: str
    precision: str
    size: str
    """WIDTHxHEIGHT."""
    batch: int
    """Pictures at once."""
    rows: int
    """Of the network in an evaluation: a guided picture takes two."""
    steps: int
    """Evaluations a call: 1 for "network"."""
    clock: str
    """"device", without copies to it and back, or "wall"."""
    samples: list[float]
    """Seconds of each call."""
    check: dict[str, float]
    """How close the results were to the reference's before anything was timed."""
    work: Work | None = None
    """Of one call, for "network"."""
    layers: dict[str, float] = dataclasses.field(default_factory=dict)
    """Share of the time by kind of layer, for "network"."""
    encoding: float | None = None
    """Share of the time that the picture's file takes, for "picture"."""
    resident: int | None = None
    """Most memory, in bytes, of a process that does this and nothing else, for "picture"."""
    device_memory: int | None = None
    """What such a process holds of the GPU's memory."""

    @property
    def seconds(self) -> Spread:
        return spread(self.samples)

    @property
    def pictures_per_second(self) -> float:
        """Made one call after the other; of "network", evaluated."""
        return self.batch * len(self.samples) / sum(self.samples)


@dataclasses.dataclass(frozen=True)
class Limit:
    """What this machine does at its best, measured: nothing that it runs can be faster."""

    device: str
    precision: str
    flop_per_second: float
    bytes_per_second: float
    """Read and written together."""
    how: str

    def seconds(self, work: Work) -> float:
        """The least that work takes: its products at the GEMM's rate, then its bytes at the copy's."""
        return work.flop / self.flop_per_second + work.bytes / self.bytes_per_second


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole run."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    model: dict[str, Any]
    """The manifest's."""
    settings: dict[str, Any]
    limits: list[Limit]
    rows: list[Row]
    failures: list[str]
    """What did not agree with the reference, and has no rows."""
    notes: list[str]
    """What else a reader should know."""

    def limit(self, row: Row) -> Limit | None:
        """That of a row's precision on what ran it."""
        kind = "gpu" if row.backend == "tensorrt" else "cpu"
        return next((each for each in self.limits if (each.device, each.precision) == (kind, row.precision)), None)

    def to_json(self) -> str:
        """The report as a JSON object."""
        rows = [
            dataclasses.asdict(row)
            | {"percentiles": dataclasses.asdict(row.seconds), "pictures_per_second": row.pictures_per_second}
            for row in self.rows
        ]
        content = {"kind": KIND, "format": FORMAT, **dataclasses.asdict(self), "rows": rows}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON. Raises FdcnError where that cannot be done."""
        replace_file(path, lambda file: file.write(self.to_json().encode()))


def load(path: Path) -> Report:
    """Read a report. Raises FdcnError where there is none, or it is damaged or of another format."""
    again = "measure again: fdcn bench --json FILE"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FdcnError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise FdcnError(f"{path} is not JSON ({error}); {again}") from error
    if not isinstance(content, dict) or content.pop("kind", None) != KIND:
        raise FdcnError(f"{path} is no result of fdcn bench; {again}")
    if (found := content.pop("format", None)) != FORMAT:
        raise FdcnError(f"{path} has format {found!r} of results, this fdcn reads {FORMAT}; {again}, or update fdcn")
    try:
        return _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FdcnError(f"{path} is damaged ({type(error).__name__}: {error}); {again}") from error


def _parse(content: dict[str, Any]) -> Report:
    limits = [Limit(**entry) for entry in content.pop("limits")]
    rows = []
    for entry in content.pop("rows"):
        row = Row(**{name: value for name, value in entry.items() if name not in _DERIVED})
        row = dataclasses.replace(row, work=row.work and Work(**row.work))  # type: ignore[arg-type]
        if not all(isinstance(sample, float) and sample > 0 for sample in row.samples) or not row.samples:
            raise ValueError("a row's samples are not times")
        rows.append(row)
    return Report(**content, limits=limits, rows=rows)


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()
