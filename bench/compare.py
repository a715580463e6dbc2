"""Two results side by side: how many times as fast the second is."""

import collections
import dataclasses
from collections.abc import Iterable

from rich.console import Console
from rich.table import Column, Table

from fdcn.bench.report import Report, Row
from fdcn.bench.table import duration

Key = tuple[str, str, str, str, int, int, int]
"""What is measured, on what, and its place among rows that are alike in all this."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """A row of each result."""

    first: Row
    second: Row

    @property
    def ratio(self) -> float:
        """How many times as fast the second is, by the medians."""
        return self.first.seconds.p50 / self.second.seconds.p50


def pairs(first: Report, second: Report) -> list[Pair]:
    """The rows that both have, in the first one's order. Engines need not be called alike: names hold versions."""
    others = dict(_keyed(second.rows))
    return [Pair(row, others[key]) for key, row in _keyed(first.rows) if key in others]


def differing(first: Report, second: Report) -> list[str]:
    """What else than speed may explain a ratio."""
    found = []
    for name, a, b in (
        ("machine", first.machine, second.machine),
        ("versions", first.versions, second.versions),
        ("model", first.model, second.model),
        ("settings", first.settings, second.settings),
    ):
        for key in {**a, **b}:
            if a.get(key) != b.get(key):
                found.append(f"{name}: {key} is {_short(a.get(key))} in A and {_short(b.get(key))} in B")
    return found


def print_comparison(first: Report, second: Report) -> None:
    """Print how many times as fast the second is, B, what else differs, and how much cannot be compared."""
    console = Console(highlight=False)
    right = [Column(name, justify="right", no_wrap=True) for name in ("A p50", "B p50", "A / B")]
    table = Table("what", "backend", "precision", "size, batch", "steps", *right, box=None)
    found = pairs(first, second)
    for pair in found:
        row = pair.first
        place = (row.what, row.backend, row.precision, f"{row.size}x{row.batch}", str(row.steps))
        times = (duration(each.seconds.p50) for each in (row, pair.second))
        table.add_row(*place, *times, f"{pair.ratio:.2f}")
    for line in differing(first, second):
        console.print(f"[yellow]differs[/yellow] {line}")
    console.print("A / B is how many times as fast B is")
    console.print(table)
    alone = len(first.rows) + len(second.rows) - 2 * len(found)
    if alone:
        console.print(f"{alone} rows are in one of the two alone")


def _keyed(rows: Iterable[Row]) -> list[tuple[Key, Row]]:
    seen: collections.Counter[tuple[str, str, str, str, int, int]] = collections.Counter()
    keyed: list[tuple[Key, Row]] = []
    for row in rows:
        place = (row.what, row.backend, row.precision, row.size, row.batch, row.steps)
        keyed.append(((*place, seen[place]), row))
        seen[place] += 1
    return keyed


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
