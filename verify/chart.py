"""Small charts as inline SVG: they take the page's colours, light or dark, and need nothing beside the page."""

import dataclasses
import html
import math
from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 40
COLORS = 6
"""How many the page's style has, as classes c0, c1, …; then they come again, dashed."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a chart; what is not finite is a gap."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Bar:
    """A value and the interval that it lies in."""

    name: str
    value: float
    low: float
    high: float


def lines(title: str, given: Sequence[Line], x: str, log: bool = False, limits: Sequence[float] = ()) -> str:
    """Lines over a common axis, with dotted lines at limits. On a logarithmic axis every y and limit is positive."""
    finite = [point for line in given for point in line.points if all(map(math.isfinite, point))]
    across = _linear([p[0] for p in finite] or [0.0], LEFT, WIDTH - RIGHT)
    heights = [*(p[1] for p in finite), *limits] or [1.0]
    up = (_logarithmic if log else _linear)(heights, HEIGHT - BOTTOM, TOP)
    parts = _frame(across, up, x)
    for limit in limits:
        y = up.place(limit)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for index, line in enumerate(given):
        parts += _line(line, color(index), across, up)
    return _svg(title, parts, HEIGHT)


def bars(title: str, given: Sequence[Bar], x: str, limit: float) -> str:
    """Values with their intervals, one below the other, beside zero and a limit."""
    across = _linear([0.0, limit, *(n for bar in given for n in (bar.low, bar.high))], LEFT, WIDTH - RIGHT)
    height = TOP + 34 * len(given) + BOTTOM
    parts = _below(across, x, height)
    for at, kind in ((0.0, "zero"), (limit, "limit")):
        place = f"{across.place(at):.1f}"
        parts.append(f'<line class="{kind}" x1="{place}" x2="{place}" y1="{TOP}" y2="{height - BOTTOM}"/>')
    for index, bar in enumerate(given):
        y = TOP + 34 * index + 24
        low, value, high = (f"{across.place(n):.1f}" for n in (bar.low, bar.value, bar.high))
        parts.append(f'<text class="tick" x="{LEFT}" y="{y - 10}">{_e(bar.name)}</text>')
        parts.append(f'<line class="{color(index)} bar" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>')
        told = f"{bar.value:.3g}, between {bar.low:.3g} and {bar.high:.3g}"
        parts.append(f'<circle class="{color(index)}" cx="{value}" cy="{y}" r="4"><title>{told}</title></circle>')
    return _svg(title, parts, height)


def color(index: int) -> str:
    """The classes of the line with a number."""
    return f"c{index % COLORS}{' dashed' if index >= COLORS else ''}"


@dataclasses.dataclass(frozen=True)
class _Axis:
    place: Callable[[float], float]
    """From a value to a coordinate."""
    ticks: list[tuple[float, str]]
    """Values and their labels."""


def _linear(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    low, high = first * step, last * step
    ticks = [(i * step, f"{i * step:.6g}".replace("-", "−")) for i in range(first, last + 1)]
    return _Axis(lambda value: start + (value - low) / (high - low) * (end - start), ticks)


def _logarithmic(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    decades = range(low, high + 1, 1 + (high - low) // 7)
    ticks = [(10.0**decade, "10" + str(decade).translate(_SUPERSCRIPT)) for decade in decades]
    return _Axis(lambda value: start + (math.log10(value) - low) / (high - low) * (end - start), ticks)


def _frame(across: _Axis, up: _Axis, x: str) -> list[str]:
    parts = []
    for at, label in up.ticks:
        y = up.place(at)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return [*parts, *_below(across, x, HEIGHT)]


def _below(axis: _Axis, name: str, height: int) -> list[str]:
    """The labels of a horizontal axis, and its name."""
    parts = []
    for at, label in axis.ticks:
        place = f'x="{axis.place(at):.1f}" y="{height - BOTTOM + 16}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{label}</text>')
    middle = f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 5}"'
    return [*parts, f'<text class="axis" {middle} text-anchor="middle">{_e(name)}</text>']


def _line(line: Line, classes: str, across: _Axis, up: _Axis) -> list[str]:
    path, pen, dots = "", "M", []
    for x, y in line.points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        at = f"{across.place(x):.1f}", f"{up.place(y):.1f}"
        path, pen = f"{path}{pen}{at[0]} {at[1]}", "L"
        told = f"<title>{_e(line.name)}: {y:.4g} at {x:g}</title>"
        dots.append(f'<circle class="{classes}" cx="{at[0]}" cy="{at[1]}" r="3">{told}</circle>')
    return [f'<path class="{classes}" d="{path}"/>', *dots] if path else []


def _svg(title: str, parts: Sequence[str], height: int) -> str:
    opening = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_e(title)}">'
    return f"<figure><figcaption>{_e(title)}</figcaption>{opening}{''.join(parts)}</svg></figure>"


def _e(text: str) -> str:
    return html.escape(text)
