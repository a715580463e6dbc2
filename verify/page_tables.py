"""The report page's tables."""

import html
from collections.abc import Iterable, Sequence

from fdcn.verify.distribution import METRICS
from fdcn.verify.report import Compared, Report, Row, Rung
from fdcn.verify.table import LIMITS, number, place

PERCENT = ("accuracy", "precision", "recall")
"""Shares; the Fréchet distance is none."""
NAMES = {"accuracy": "class accuracy", "frechet": "Fréchet distance"}


def summary(report: Report) -> str:
    """A row a candidate: the verdict, and the worst of what was measured."""
    rows = []
    for compared in report.candidates:
        measured = [("velocity", "cosine"), ("velocity", "psnr"), ("picture", "psnr")]
        numbers = [_number(worst(compared, rung, value)) for rung, value in measured]
        state = '<span class="good">passed</span>' if compared.passed else '<span class="bad">FAILED</span>'
        told = "" if compared.passed else f"<br>{_e(compared.verdict(report.reference.name))}"
        rows.append([_text(compared.side.name), _text(compared.side.precision), *numbers, f"<td>{state}{told}</td>"])
    heads = ["candidate", "precision", "least cosine", "least PSNR of a step", "least PSNR of a picture", "verdict"]
    return _table(heads, rows)


def distribution(report: Report, size: str) -> str:
    """A row a contender: its scores, and how they differ from the reference's."""
    rows: list[list[str]] = []
    for compared in report.candidates:
        rung = compared.rung("distribution")
        found = {row.at["metric"]: row.values for row in rung.rows if row.at["size"] == size} if rung else {}
        if not rows:
            scores = [_number(_score(metric, found[metric]["reference"])) for metric in METRICS]
            rows.append([_text(report.reference.name), *scores])
        changed = [_number(_score(m, found[m]["candidate"]), _change(m, found[m])) for m in METRICS]
        rows.append([_text(compared.side.name), *changed])
    return _table(["", *(NAMES.get(metric, metric) for metric in METRICS)], rows)


def contenders(report: Report) -> str:
    """What each of them is."""
    sides = [report.reference, *(compared.side for compared in report.candidates)]
    rows = [[_text(told) for told in (side.name, side.artifact, side.precision, side.backend)] for side in sides]
    return _table(["", "graphs", "precision", "backend"], rows)


def rungs(compared: Compared) -> str:
    """Every row of a candidate, folded away."""
    parts = [f"<h3>{_e(compared.side.name)}</h3>"]
    for rung in compared.rungs:
        state = "not run" if rung.skipped else "passed" if rung.passed else "FAILED"
        limits = ", ".join(LIMITS.get(name, f"{name} {{:g}}".format)(value) for name, value in rung.limits.items())
        content = f"<p>{_e(rung.skipped)}</p>" if rung.skipped else _rung(rung)
        head = f"{_e(rung.name)}: {state}; wanted: {_e(limits)}"
        parts.append(f"<details><summary>{head}</summary>{content}</details>")
    return "".join(parts)


def worst(compared: Compared, rung: str, value: str) -> str:
    """The least of a value in a rung, NaN before all; a dash where it has none."""
    found = compared.rung(rung)
    values = [row.values[value] for row in found.rows if value in row.values] if found else []
    return number(value, min(values, key=lambda n: (n == n, n))) if values else "–"


def _rung(rung: Rung) -> str:
    values = list(dict.fromkeys(name for row in rung.rows for name in row.values))
    places = list(dict.fromkeys(name for row in rung.rows for name in row.at))
    rows = [_row(row, places, values) for row in rung.rows]
    return _table([*places, *(name.replace("_", " ") for name in values), ""], rows)


def _row(row: Row, places: Sequence[str], values: Sequence[str]) -> list[str]:
    numbers = [_number(number(name, row.values[name])) if name in row.values else _text("–") for name in values]
    state = f"{'ok' if row.passed else 'FAILED'} {row.note}".strip()
    return [*(_text(place(row.at.get(name, ""))) for name in places), *numbers, _text(state)]


def _score(metric: str, value: float) -> str:
    return f"{value:.2%}" if metric in PERCENT else f"{value:.3f}"


def _change(metric: str, values: dict[str, float]) -> str:
    """The change with its interval: in points of a share, or in percent of the reference's distance."""
    scale, unit = (100.0, "points") if metric in PERCENT else (100 / values["reference"], "%")
    change, low, high = (f"{scale * values[key]:+.2f}".replace("-", "−") for key in ("change", "low", "high"))
    return f"{change} ({low} … {high}) {unit}"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that `_text` and `_number` made."""
    head = "".join(f"<th>{_e(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(text: str) -> str:
    return f"<td>{_e(text)}</td>"


def _number(text: str, below: str = "") -> str:
    small = f"<small>{_e(below)}</small>" if below else ""
    return f'<td class="number">{_e(text)}{small}</td>'


def _e(text: str) -> str:
    return html.escape(text)
