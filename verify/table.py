"""A report in the terminal: a table a rung, and the verdict."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Column, Table

from fdcn.verify.report import Report, Row, Rung

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
}


def print_report(report: Report) -> None:
    """Print every rung of a report, and what was compared."""
    console = Console(highlight=False)
    for name, side in (("reference", report.reference), ("candidate", report.candidate)):
        console.print(f"[bold]{name}[/bold] {side.name}: {side.artifact}, {side.precision}; {side.backend}")
    for rung in report.rungs:
        _print_rung(console, rung)


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
        numbers = [_number(name, row.values[name]) if name in row.values else "-" for name in values]
        verdict = "ok" if row.passed else f"[red]FAILED[/red] {row.note}"
        table.add_row(*(_place(row.at.get(name, "")) for name in places), *numbers, verdict)
    console.print(table)
    if len(shown) < len(rung.rows):
        console.print(f"the worst {len(shown)} of {len(rung.rows)}; --json has all")


def _worst(rows: list[Row]) -> list[Row]:
    """In their order: those that failed, then those of the lowest PSNR."""
    by_need = sorted(range(len(rows)), key=lambda i: (rows[i].passed, rows[i].values.get("psnr", 0.0)))
    return [rows[i] for i in sorted(by_need[:ROWS_AT_MOST])]


def _number(name: str, value: float) -> str:
    return NUMBERS.get(name, "{:.4g}".format)(value)


def _place(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
