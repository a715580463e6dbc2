"""Half an hour of everything that a server meets: what it holds must not grow, and no good request may fail."""

import asyncio
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving_client import GENERATIONS, NATIVE, Connection
from serving_server import Server, serving

CLIENTS = 4
SIZES = ("28x28", "56x28", "28x56", "40x24", "33x21")
SOLVERS = (("neural", 10), ("euler", 5), ("heun-sde", 4), ("adams2", 6))
LEFT_AFTER = 0.05
"""Seconds after which a client goes away."""
WRONG: tuple[tuple[int, Mapping[str, Any]], ...] = (
    (400, {"labels": ["Spaceship"]}),
    (400, {"labels": ["Bag"], "size": "9000x9000"}),
    (400, {"labels": ["Bag"], "count": 10_000}),
    (400, {"labels": ["Bag"], "colour": "red"}),
)
EVERY = 15.0
"""Seconds between looks at the server."""
RELOADS = 4
"""SIGHUPs, spread over the time."""
SETTLED = 1 / 3
"""Of the time, after which nothing may grow any more: every kind of request has been met by then."""
GROWTH = 0.05
"""Of resident memory, from then to the end, that is none."""


def soak(bundle: Path, minutes: float) -> dict[str, Any]:
    """Run it, and say what grew."""
    with serving(bundle, "--max-size", "64x64", "--max-delay-ms", 5) as server:
        looks, counts, wrong = asyncio.run(_soak(server, 60 * minutes))
    settled = [look for look in looks if look["seconds"] >= SETTLED * 60 * minutes]
    slopes = {
        name: slope([look["seconds"] for look in settled], [look[name] for look in settled])
        for name in ("resident", "files", "threads")
    }
    span = settled[-1]["seconds"] - settled[0]["seconds"]
    growth = slopes["resident"] * span / settled[0]["resident"]
    failures = wrong + ([f"resident memory grew by {growth:.1%}"] if growth > GROWTH else [])
    return {
        "minutes": minutes,
        "requests": sum(counts.values()),
        "reloads": RELOADS,
        "counts": dict(counts),
        "resident_at_a_third": settled[0]["resident"],
        "resident_at_the_end": settled[-1]["resident"],
        "growth": growth,
        "slopes_a_second": slopes,
        "looks": {name: [look[name] for look in looks] for name in looks[0]},
        "failures": failures[:10],
    }


async def _soak(server: Server, seconds: float) -> tuple[list[dict[str, float]], Counter[str], list[str]]:
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    numbers = itertools.count()

    async def client() -> None:
        connection = Connection(server.port)
        while time.monotonic() < begun + seconds:
            kind, problem = await _one(connection, next(numbers))
            counts[kind] += 1
            if problem:
                wrong.append(problem)
        connection.close()

    async def watch() -> list[dict[str, float]]:
        looks: list[dict[str, float]] = []
        reloads = 0
        while (now := time.monotonic() - begun) < seconds:
            looks.append(
                {
                    "seconds": round(now, 1),
                    "resident": server.resident(),
                    "files": server.open_files(),
                    "threads": server.threads(),
                }
            )
            if now > (reloads + 0.5) * seconds / RELOADS:
                server.process.send_signal(signal.SIGHUP)
                reloads += 1
            await asyncio.sleep(EVERY)
        return looks

    looks, *_ = await asyncio.gather(watch(), *(client() for _ in range(CLIENTS)))
    return looks, counts, wrong


async def _one(connection: Connection, i: int) -> tuple[str, str | None]:
    """Request i: its kind, and what was wrong with the answer."""
    solver, steps = SOLVERS[i % len(SOLVERS)]
    good = {"labels": [i % 10], "count": 1 + i % 3, "size": SIZES[i % len(SIZES)], "seed": i}
    good |= {"solver": solver, "steps": steps}
    if i % 11 == 3:
        await connection.leave(NATIVE, good, LEFT_AFTER)
        return "left", None
    if i % 11 == 5:
        expected, body = WRONG[i // 11 % len(WRONG)]
        return "refused", _problem(await connection.post(NATIVE, body), expected)
    if i % 11 == 7:
        answer = await connection.post(NATIVE, good | {"stream": True, "preview_every": 2})
        whole = b"event: result" in answer.body and b"event: error" not in answer.body
        return "streamed", None if whole else f"a stream without its result: {answer.body[-200:]!r}"
    if i % 11 == 9:
        body = {"prompt": str(i % 10), "n": 2, "size": "28x28", "output_format": ("png", "jpeg", "webp")[i % 3]}
        return "openai", _problem(await connection.post(GENERATIONS, body), 200)
    return "native", _problem(await connection.post(NATIVE, good), 200)


def _problem(answer: Any, expected: int) -> str | None:
    if answer.status == expected and isinstance(json.loads(answer.body), dict):
        return None
    return f"{answer.status} instead of {expected}: {answer.body[:200].decode('utf-8', 'replace')}"


def slope(x: list[float], y: list[float]) -> float:
    """Of the least squares' line."""
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - middle_x) ** 2 for a in x)
    return sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True)) / spread if spread else 0.0
