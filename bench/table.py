"""A report in the terminal: what was timed, where the time goes, and how far the limits are."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Column, Table

from fdcn.bench.layers import KINDS
from fdcn.bench.report import NETWORK, PICTURE, Limit, Report, Row
from fdcn.runtime.memory import format_bytes

NONE = "-"
TIMES = ("p50, ms", "p90", "p99")


def print_report(report: Report) -> None:
    """Print a report's tables, engine by engine, and its limits and notes."""
    console = Console(highlight=False)
    console.print(f"[bold]on[/bold] {where(report)}")
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    console.print(f"[bold]with[/bold] {report.model['parameters'] / 1e6:.1f} M parameters, {settings}")
    for limit in report.limits:
        console.print(f"[bold]limit[/bold] {describe(limit)}")
    for engine in dict.fromkeys(row.engine for row in report.rows):
        _print_engine(console, report, [row for row in report.rows if row.engine == engine])
    for note in report.notes:
        console.print(f"[yellow]note[/yellow] {note}")


def where(report: Report) -> str:
    """The machine in a line."""
    m = report.machine
    processor = f"{m['cores']} cores of {m['processor']}"
    if m["gpu"] is None:
        return processor
    return f"{m['gpu']['name']} ({m['gpu']['compute']}, driver {m['gpu']['driver']}), {processor}"


def describe(limit: Limit) -> str:
    """A limit in a line."""
    rates = f"{rate(limit.flop_per_second)}FLOP/s and {rate(limit.bytes_per_second)}B/s"
    return f"{limit.device} in {limit.precision}: {rates}, by {limit.how}"


def _print_engine(console: Console, report: Report, rows: list[Row]) -> None:
    network, pictures = ([row for row in rows if row.what == what] for what in (NETWORK, PICTURE))
    console.print(f"\n[bold]{rows[0].engine}[/bold], {rows[0].precision}")
    copies = "on the device" if network[0].clock == "device" else "with copies of what goes in and out"
    console.print(f"one evaluation of the network, {copies}:")
    console.print(_network(report, network))
    if any(row.layers for row in network):
        console.print("its time by kind of layer:")
        console.print(_layers(network))
    console.print("from labels to encoded pictures:")
    console.print(_pictures(pictures))


def _network(report: Report, rows: list[Row]) -> Table:
    table = _table(*TIMES, "FLOP/s", "B/s", "of limit")
    for row in rows:
        table.add_row(_place(row), *_times(row), *reached(row, report.limit(row)))
    return table


def _layers(rows: list[Row]) -> Table:
    kinds = [kind for kind in KINDS if any(kind in row.layers for row in rows)]
    table = _table(*kinds)
    for row in rows:
        table.add_row(_place(row), *(f"{row.layers.get(kind, 0.0):.1%}" for kind in kinds))
    return table


def _pictures(rows: list[Row]) -> Table:
    on_gpu = any(row.device_memory is not None for row in rows)
    table = _table(*TIMES, "pictures/s", "encoding", "memory", *["on the GPU"] * on_gpu)
    for row in rows:
        table.add_row(_place(row), *_times(row), *_made(row), *[_memory(row.device_memory)] * on_gpu)
    return table


def _made(row: Row) -> Iterator[str]:
    yield f"{row.pictures_per_second:.4g}"
    yield NONE if row.encoding is None else f"{row.encoding:.1%}"
    yield _memory(row.resident)


def reached(row: Row, limit: Limit | None) -> list[str]:
    """FLOP/s and B/s of a row, each with its part of the limit, and the least time as a part of the median one."""
    if row.work is None:
        return [NONE] * 3
    median = row.seconds.p50
    flops, moved = row.work.flop / median, row.work.bytes / median
    if limit is None:
        return [rate(flops), rate(moved), NONE]
    return [
        f"{rate(flops)} ({share(flops / limit.flop_per_second)})",
        f"{rate(moved)} ({share(moved / limit.bytes_per_second)})",
        share(limit.seconds(row.work) / median),
    ]


def rate(value: float) -> str:
    """A number a second for people: "12.3 T", and a unit may follow."""
    factor, prefix = next((f, p) for f, p in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (0, "")) if value >= f)
    return f"{value / (factor or 1):.3g} {prefix}"


def share(part: float) -> str:
    """A part of a whole, with a decimal where it is small."""
    return f"{part:.0%}" if part >= 0.1 else f"{part:.1%}"


def duration(seconds: float) -> str:
    """A time for people, in ms."""
    return f"{_milliseconds(seconds)} ms"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.4g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _table(*numbers: str) -> Table:
    places = Column("size, batch", no_wrap=True)
    return Table(places, *(Column(name, justify="right", no_wrap=True) for name in numbers), box=None)


def _place(row: Row) -> str:
    return f"{row.size}x{row.batch}"


def _times(row: Row) -> list[str]:
    return [_milliseconds(value) for value in (row.seconds.p50, row.seconds.p90, row.seconds.p99)]


def _memory(size: int | None) -> str:
    return NONE if size is None else format_bytes(size)
