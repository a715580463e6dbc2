"""Thousands of wrong requests: from the OpenAPI description, from damaged good ones, and bytes without any sense.

None may be answered with a status of 500 or more, and a good request gets the same picture before and after.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from serving_client import GENERATIONS, NATIVE, Connection, read_answer
from serving_server import Server, serving

CHECKS = "not_a_server_error,status_code_conformance,response_schema_conformance,content_type_conformance"
SHARE = 0.5
"""Of the requests, that schemathesis makes."""
EXAMPLES = 400
"""Of an operation, at most, in one run of it;"""
OPERATIONS = 3
"""so many take what they are given."""
TOGETHER = 16
"""Connections at a time."""
WAITS = 0.05
"""Of the requests that are cut off, whose sender then waits for an answer; the others leave."""
PATIENCE = 60.0
"""Seconds after which a connection that is neither answered nor closed is stuck."""
CUT = "cut off"
KINDS = ("noise", "values", "no json", CUT, "flipped bytes")
NO_JSON = (b"[" * 50_000, b'{"a":NaN}', b'{"prompt":"Bag","prompt":"Coat"}', b"\xff\xfe", b"null", b"")
LIMITS = ("--max-size", "32x32", "--max-images", 2, "--max-body", 0.25)
"""So that a request that happens to be right takes little."""
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**63, 2**70, 1e308, "", "Spaceship", "999999999x1", "0x0", "-1x5", "１x１"),
    *([], [[]], {}, {"a": {"b": []}}, ["Bag"] * 1000, "\0", "\ud800", "../../etc/passwd", "A" * 100_000),
)
FIELDS = {
    GENERATIONS: ("prompt", "n", "size", "response_format", "output_format", "output_compression", "seed", "model"),
    NATIVE: (
        *("labels", "count", "size", "seed", "seeds", "solver", "steps", "last_step", "guidance", "noise"),
        *("guidance_channels", "guidance_interval", "s_max_adjust", "preview_every", "stream", "deadline", "latents"),
    ),
}
GOOD: dict[str, dict[str, Any]] = {GENERATIONS: {"prompt": "Bag", "seed": 7}, NATIVE: {"labels": ["Bag"], "seed": 7}}


def bad(bundle: Path, requests: int) -> dict[str, Any]:
    """Send them, and say what came back."""
    with serving(bundle, *LIMITS) as server:
        before = asyncio.run(_picture(server))
        described, found = _schemathesis(server, round(SHARE * requests))
        statuses, wrong = asyncio.run(_damaged(server, max(0, requests - described)))
        after = asyncio.run(_picture(server))
        alive = server.alive()
    failures = found + wrong
    failures += [] if alive else ["the server has ended"]
    failures += [] if before == after else ["a good request gives another picture than before"]
    return {
        "requests": described + sum(statuses.values()),
        "described": described,
        "damaged": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "failures": failures[:10],
    }


async def _picture(server: Server) -> str:
    answer = await Connection(server.port).post(GENERATIONS, GOOD[GENERATIONS])
    return str(json.loads(answer.body)["data"][0]["b64_json"])


def _schemathesis(server: Server, requests: int) -> tuple[int, list[str]]:
    """How many cases it made of the server's own description, about so many of them, and what it found."""
    url = f"http://127.0.0.1:{server.port}/openapi.json"
    made, seed = 0, 1
    program = Path(sys.executable).with_name("schemathesis")
    while made < requests:
        with tempfile.TemporaryDirectory() as folder:
            examples = min(EXAMPLES, max(1, (requests - made) // OPERATIONS))
            command = [program, "run", url, "--phases=fuzzing", f"--max-examples={examples}", "--mode=all"]
            command += ["--checks", CHECKS, f"--seed={seed}", "--no-color"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        counted = re.search(r"([\d,]+) (?:generated|test cases)", done.stdout)
        if done.returncode or not counted:
            return made, [done.stdout[-3000:] + done.stderr[-1000:]]
        made, seed = made + int(counted[1].replace(",", "")), seed + 1
    return made, []


async def _damaged(server: Server, requests: int) -> tuple[Counter[str], list[str]]:
    """Send good requests with damage, and bytes; gives how often each status came, and what should not have."""
    statuses: Counter[str] = Counter()
    wrong: list[str] = []
    numbers = iter(range(requests))

    async def sender() -> None:
        for i in numbers:
            draw = random.Random(i)
            kind, content = _request(draw)
            cut = kind == CUT
            status, body = await _send(server.port, content, leaves=cut and draw.random() > WAITS)
            statuses[f"{kind}: {status}"] += 1
            if status.startswith("5") or status == "stuck" or (body and not _explained(status, body)):
                wrong.append(f"{status} for {content[:300]!r}: {body[:300]!r}")

    await asyncio.gather(*(sender() for _ in range(TOGETHER)))
    return statuses, wrong


def _explained(status: str, body: bytes) -> bool:
    """Whether an error has OpenAI's shape; where the bytes were no HTTP at all, one that is plain text will do."""
    if not status.startswith("4"):
        return True
    try:
        return bool(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return status == "400" and body == b"Invalid HTTP request received."


async def _send(port: int, content: bytes, leaves: bool) -> tuple[str, bytes]:
    """The status of the first answer, or "closed" or "stuck"."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        if leaves:
            writer.write_eof()
        status, _, body = await asyncio.wait_for(read_answer(reader), PATIENCE)
        return str(status), body
    except TimeoutError:
        return "stuck", b""
    except (asyncio.IncompleteReadError, OSError):
        return "closed", b""
    finally:
        writer.close()


def _request(draw: random.Random) -> tuple[str, bytes]:
    """A kind of damage, and a request that has it."""
    path = draw.choice(list(FIELDS))
    kind = draw.choice(KINDS)
    content = _post(path, json.dumps(GOOD[path]).encode())
    if kind == "noise":
        return kind, draw.randbytes(draw.randrange(1, 2000)) + b"\r\n\r\n"
    if kind == "values":
        body = dict(GOOD[path])
        for _ in range(draw.randrange(1, 3)):
            body[draw.choice([*FIELDS[path], "unknown"])] = draw.choice(VALUES)
        return kind, _post(path, json.dumps(body).encode())
    if kind == "no json":
        return kind, _post(path, draw.choice((draw.randbytes(200), *NO_JSON)))
    if kind == CUT:
        return kind, content[: draw.randrange(1, len(content))]
    flipped = bytearray(content)
    for _ in range(draw.randrange(1, 6)):
        flipped[draw.randrange(len(flipped))] = draw.randrange(256)
    return kind, bytes(flipped)


def _post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
