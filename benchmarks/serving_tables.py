"""What `serving.py` measured, as tables; a part that was not measured yet says so."""

from typing import Any

import machine

UNKNOWN = "not yet measured"


def serving() -> str:
    """Each part in a line."""
    known = machine.read("serving") if (machine.RESULTS / "serving.json").exists() else {}
    rows = {
        "full: pictures a second over those of `pipe` alone at the same batch": ("throughput", _throughput),
        "requests at random times, 70% of that: time to the answer": ("latency", _latency),
        "8 clients: batches over one picture at a time": ("batching", _batching),
        "the same of `pipe` alone, two, four and eight at a time over one": ("batching", _ceiling),
        "memory from a third of the time to its end": ("soak", _soak),
        "wrong requests": ("bad", _bad),
        "replicas killed on Ray while requests run": ("kill", _kill),
    }
    lines = ["| | |", "|---|---|"]
    for name, (part, told) in rows.items():
        lines.append(f"| {name} | {told(known[part]) if part in known else UNKNOWN} |")
    where = next(iter(known.values()), None)
    on = f"The shipped model, server and clients on {_machine(where)}:\n\n" if where else ""
    return on + "\n".join(lines)


def _machine(part: dict[str, Any]) -> str:
    return f"{part['machine']['cores']} cores of {part['machine']['processor']}"


def _throughput(part: dict[str, Any]) -> str:
    return (
        f"**{part['ratio']:.0%}**: {part['server_rate']:.1f} of {part['alone_rate']:.1f}, "
        f"{part['clients']} clients, batches of {part['batch']}"
    )


def _latency(part: dict[str, Any]) -> str:
    return (
        f"median {part['p50']:.2f} s, **p99 {part['p99']:.2f} s**, deadline {part['deadline']:g} s; "
        f"{part['requests']:,} requests, {len(part['failures'])} failed; a lone client {part['one_client_p50']:.2f} s"
    )


def _batching(part: dict[str, Any]) -> str:
    return f"**{part['gain']:.2f}x**; one at a time already keeps {part['busy']['one by one']:.0%} of the cores busy"


def _ceiling(part: dict[str, Any]) -> str:
    return ", ".join(f"{gain:.2f}x" for gain in part["pipe_gain"].values())


def _soak(part: dict[str, Any]) -> str:
    return (
        f"**{part['growth']:+.1%}** in {part['minutes']:g} minutes, {part['requests']:,} requests, "
        f"{part['reloads']} reloads; {len(part['failures'])} failed"
    )


def _bad(part: dict[str, Any]) -> str:
    worst = [status for status in part["statuses"] if status.split(": ")[1].startswith("5")]
    return (
        f"{part['requests']:,}: **{'none' if not worst and not part['failures'] else 'some'}** answered with a "
        "status of 500 or more"
    )


def _kill(part: dict[str, Any]) -> str:
    return (
        f"{part['kills']} kills, {part['requests']:,} requests of {part['clients']} clients, **{part['lost']} lost**; "
        f"the slowest took {part['most']:.1f} s"
    )
