"""A report as a picture: how far the velocity is off at each step, a line a candidate and size."""

import itertools
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdcn.bundle import replace_file
from fdcn.verify.report import Report, Row

INCHES, DPI = (14.0, 4.6), 110
SAME = 1e-16
"""What no difference is drawn at, on an axis of powers of ten."""


def save(report: Report, path: Path) -> None:
    """Write the plot as a PNG, whatever the file's ending. Raises FdcnError where that cannot be done."""
    write(draw(report), path)


def write(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG. Raises FdcnError where that cannot be done."""
    replace_file(path, lambda file: figure.savefig(file, format="png"))


def draw(report: Report) -> Figure:
    """Cosine, PSNR and errors of the velocity rung over the steps; what is not finite is a gap."""
    figure = Figure(INCHES, DPI, layout="constrained")
    figure.suptitle(report.verdict())
    cosine, psnr, errors = figure.subplots(1, 3)
    colors, limits = itertools.count(), set()
    for compared in report.candidates:
        rung = next(rung for rung in compared.rungs if rung.name == "velocity")
        limits |= {rung.limits["cosine"]} if "cosine" in rung.limits else set()
        for size in dict.fromkeys(row.at["size"] for row in rung.rows):
            rows, color = [row for row in rung.rows if row.at["size"] == size], f"C{next(colors) % 10}"
            name = size if len(report.candidates) == 1 else f"{compared.side.name}, {size}"
            _line(cosine, rows, lambda row: max(1 - row.values["cosine"], SAME), name, color)
            _line(psnr, rows, lambda row: row.values["psnr"], name, color)
            _line(errors, rows, lambda row: max(row.values["max_error"], SAME), f"{name}, largest", color)
            _line(errors, rows, lambda row: max(row.values["mean_error"], SAME), f"{name}, mean", color, dashed=True)
    for limit in sorted(limits):
        cosine.axhline(1 - limit, color="black", linestyle=":", label="limit")
    for axes, name, scale in ((cosine, "1 − cosine", "log"), (psnr, "PSNR in dB", "linear"), (errors, "error", "log")):
        axes.set(xlabel="step", ylabel=f"{name} of the velocity", yscale=scale)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def _line(
    axes: Axes, rows: list[Row], value: Callable[[Row], float], label: str, color: str, dashed: bool = False
) -> None:
    steps = [row.at["step"] for row in rows]
    axes.plot(steps, [value(row) for row in rows], "--" if dashed else "-", marker=".", label=label, color=color)
