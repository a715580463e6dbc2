"""A report as a picture: times by size and batch, pictures a second, and where the time of an evaluation goes."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdcn.bench.layers import KINDS
from fdcn.bench.report import NETWORK, PICTURE, Report, Row
from fdcn.bench.table import where
from fdcn.verify.plot import DPI, INCHES, write


def save(report: Report, path: Path) -> None:
    """Write the plot as a PNG, whatever the file's ending. Raises FdcnError where that cannot be done."""
    write(draw(report), path)


def draw(report: Report) -> Figure:
    """Three charts with a line for every row; the whisker of a time ends at its 99th percentile."""
    figure = Figure(INCHES, DPI, layout="constrained")
    figure.suptitle(where(report))
    times, rates, shares = figure.subplots(1, 3)
    network, pictures = ([row for row in report.rows if row.what == what] for what in (NETWORK, PICTURE))
    _times(times, network, report)
    _rates(rates, pictures)
    _shares(shares, network)
    for axes in (times, rates, shares):
        axes.grid(axis="x", alpha=0.3)
        axes.invert_yaxis()
    return figure


def _times(axes: Axes, rows: list[Row], report: Report) -> None:
    names, medians = [_name(row) for row in rows], [1e3 * row.seconds.p50 for row in rows]
    upper = [1e3 * (row.seconds.p99 - row.seconds.p50) for row in rows]
    axes.errorbar(medians, names, xerr=[[0.0] * len(rows), upper], fmt="o", capsize=4, color="C0")
    for name, row in zip(names, rows, strict=True):
        limit = report.limit(row)
        if limit and row.work:
            axes.plot([1e3 * limit.seconds(row.work)], [name], marker="|", markersize=14, color="black")
    axes.set(xlabel="ms an evaluation; | is the measured limit", xscale="log")


def _rates(axes: Axes, rows: list[Row]) -> None:
    axes.barh([_name(row) for row in rows], [row.pictures_per_second for row in rows], color="C2")
    axes.set(xlabel="encoded pictures a second")


def _shares(axes: Axes, rows: list[Row]) -> None:
    names, before = [_name(row) for row in rows], [0.0] * len(rows)
    for index, kind in enumerate(KINDS):
        parts = [100 * row.layers.get(kind, 0.0) for row in rows]
        if any(parts):
            axes.barh(names, parts, left=before, label=kind, color=f"C{index}")
            before = [a + b for a, b in zip(before, parts, strict=True)]
    axes.set(xlabel="% of an evaluation, by kind of layer")
    if any(before):
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _name(row: Row) -> str:
    return f"{row.engine}\n{row.size}, {row.batch}"
