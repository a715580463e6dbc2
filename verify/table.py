"""A report in the terminal: a table a rung, and the verdict."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Column, Table

from fdcn.verify.report import Report, Row, Rung, Side

ROWS_AT_MOST = 24
"""Of a rung; of more, these are the worst."""
NUMBERS: dict[str, Callable[[float], str]] = {
    "cosine": "{:.7f}".format,
    "psnr": "{:.1f} dB".format,
    "mean_error": "{:.2e}".format,
    "max_error": "{:.2e}".format,
}
LIMITS: dict[str, Callable[[float], str]] = {
    "cosine": "cosine ≥ {:g}".format,
    "psnr": "PSNR ≥ {:g} dB".format,
    "absolute": "each error ≤ {:g}".format,
    "relative": "or {:.2g} of the value".format,
    "accuracy_lost": "accuracy lost ≤ {:.2%}".format,
    "frechet_grown": "Fréchet distance grown ≤ {:.0%}".format,
}


def print_report(report: Report) -> None:
    """Print every rung of every candidate, and what was compared."""
    console = Console(highlight=False)
    _print_side(console, "reference", report.reference)
    for compared in report.candidates:
        _print_side(console, "candidate", compared.side)
        for rung in compared.rungs:
            _print_rung(console, rung)
        console.print()


def _print_side(console: Console, role: str, side: Side) -> None:
    console.print(f"[bold]{role}[/bold] {side.name}: {side.artifact}, {side.precision}; {side.backend}")


def _print_rung(console: Console, rung: Rung) -> None:
    wanted = " ".join(
        LIMITS[name](value) if name in LIMITS else f"{name} {value:g}" for name, value in rung.limits.items()
    )
    console.print(f"\n[bold]{rung.name}[/bold]: {rung.about}; wanted: {wanted}")
    if rung.skipped:
        console.print(f"[yellow]not run[/yellow]: {rung.skipped}")
        return
    values = list(dict.fromkeys(name for row in rung.rows for name in row.values))
    places = list(dict.fromkeys(name for row in rung.rows for name in row.at))
    table = Table(*places, *(Column(name.replace("_", " "), justify="right") for name in values), "", box=None)
    shown = _worst(rung.rows)
    for row in shown:
        numbers = [number(name, row.values[name]) if name in row.values else "-" for name in values]
        verdict = f"{'ok' if row.passed else '[red]FAILED[/red]'} {row.note}".strip()
        table.add_row(*(place(row.at.get(name, "")) for name in places), *numbers, verdict)
    console.print(table)
    if len(shown) < len(rung.rows):
        console.print(f"the worst {len(shown)} of {len(rung.rows)}; --json has all")


def _worst(rows: list[Row]) -> list[Row]:
    """In their order: those that failed, then those of the lowest PSNR."""
    by_need = sorted(range(len(rows)), key=lambda i: (rows[i].passed, rows[i].values.get("psnr", 0.0)))
    return [rows[i] for i in sorted(by_need[:ROWS_AT_MOST])]


def number(name: str, value: float) -> str:
    """A value of a row, by its name."""
    return NUMBERS.get(name, "{:.4g}".format)(value)


def place(value: object) -> str:
    """Where a row was measured."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
