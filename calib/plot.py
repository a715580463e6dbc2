"""Statistics as a picture: how the range of every value that products read drifts over the timesteps."""

import math
import re
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from fdcn.bundle import replace_file
from fdcn.calib.ranges import SHARE, percentile
from fdcn.calib.statistics import Measured, Statistics

COLUMNS, INCHES, DPI = 3, (4.6, 3.4), 110


def save(statistics: Statistics, path: Path) -> None:
    """Write the plot as a PNG, whatever the file's ending. Raises FdcnError where that cannot be done."""
    figure = draw(statistics)
    replace_file(path, lambda file: figure.savefig(file, format="png"))


def draw(statistics: Statistics) -> Figure:
    """A chart for each role of layers, a line for each of its layers; all share the axis of times."""
    roles: dict[str, list[Measured]] = {}
    for measured in statistics.activations:
        name = ", ".join(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.)", "*", product) for product in measured.products))
        roles.setdefault(name, []).append(measured)
    columns = min(COLUMNS, len(roles))
    lines = math.ceil(len(roles) / columns)
    figure = Figure((columns * INCHES[0], lines * INCHES[1] + 0.6), DPI, layout="constrained")
    settings = ", ".join(f"{name} {value}" for name, value in statistics.settings.items())
    figure.suptitle(f"largest magnitudes that products read (dotted: {SHARE:.2%} of them are smaller)\n{settings}")
    charts = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    for axes, (role, layers) in zip(charts, roles.items(), strict=False):
        _chart(axes, statistics, role, layers)
    for axes in charts[len(roles) :]:
        axes.axis("off")
    return figure


def _chart(axes: Axes, statistics: Statistics, role: str, layers: list[Measured]) -> None:
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(layers)))
    for measured, colour in zip(layers, colours, strict=True):
        most = [percentile(counts, statistics.edges, SHARE) for counts in measured.counts]
        axes.plot(statistics.times, measured.largest, "-", marker=".", color=colour, label=measured.name)
        axes.plot(statistics.times, np.minimum(most, measured.largest), ":", color=colour)
    axes.set(title=role, xlabel="t", yscale="log")
    axes.tick_params(labelbottom=True)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.grid(alpha=0.3, which="both")
    if len(layers) > 1:
        first, *_, last = axes.get_lines()[::2]
        axes.legend([first, last], [str(first.get_label()), str(last.get_label())], fontsize="small")
