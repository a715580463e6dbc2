"""HTTP clients that cost little: connections kept alive on one event loop, one request at a time on each."""

import asyncio
import dataclasses
import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

GENERATIONS = "/v1/images/generations"
NATIVE = "/v1/generate"
Body = Callable[[int], Mapping[str, Any]]
"""The JSON of request i."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One request's end."""

    status: int
    seconds: float
    """From when it was due to the answer's last byte."""
    ended: float
    """By `time.perf_counter`."""
    body: bytes


class Connection:
    """A connection to a server on this machine; opened when it is needed, and again where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Answer:
        """Raises OSError and EOFError where the connection ends early, as `post` does."""
        return await self._ask(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), time.perf_counter())

    async def post(self, path: str, body: Mapping[str, Any], due: float | None = None) -> Answer:
        """`due` is when its time begins, now by default."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        return await self._ask(request, time.perf_counter() if due is None else due)

    async def leave(self, path: str, body: Mapping[str, Any], after: float) -> None:
        """Ask, and go away after so many seconds without reading the answer."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        _, writer = await self._open()
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await asyncio.sleep(after)
        self.close()

    def close(self) -> None:
        """Once is enough."""
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _ask(self, request: bytes, due: float) -> Answer:
        try:
            reader, writer = await self._open()
            writer.write(request)
            status, headers, body = await read_answer(reader)
        except BaseException:
            self.close()
            raise
        ended = time.perf_counter()
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, ended - due, ended, body)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in small letters, and body of an answer, whole or in chunks."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding") != "chunked":
        return int(status.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return int(status.split()[1]), headers, b"".join(parts)


async def closed_loop(port: int, clients: int, seconds: float, body: Body, path: str = GENERATIONS) -> list[Answer]:
    """What clients get that each ask again as soon as they have an answer."""
    until = time.perf_counter() + seconds
    answers: list[Answer] = []
    number = iter(range(1 << 62))

    async def client() -> None:
        connection = Connection(port)
        while time.perf_counter() < until:
            answers.append(await connection.post(path, body(next(number))))
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def open_loop(port: int, rate: float, seconds: float, body: Body, path: str = GENERATIONS) -> list[Answer]:
    """What clients get that come independently of one another, `rate` a second on average (Poisson).

    A request's time begins when it is due, so that a server which holds the sender up gains nothing.
    """
    draw = random.Random(0)
    free: list[Connection] = []

    async def one(i: int, due: float) -> Answer:
        connection = free.pop() if free else Connection(port)
        answer = await connection.post(path, body(i), due)
        free.append(connection)
        return answer

    begun = due = time.perf_counter()
    tasks = []
    while (due := due + draw.expovariate(rate)) < begun + seconds:
        await asyncio.sleep(due - time.perf_counter())
        tasks.append(asyncio.create_task(one(len(tasks), due)))
    answers = await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return list(answers)


def pictures_a_second(answers: list[Answer], together: int) -> float:
    """Of one-picture requests that ended in groups of about `together`: between the first group's end and the last's.

    The clients' first and last requests, for which the server is not full, are left out. Raises ValueError where
    nothing is left.
    """
    ended = sorted(answer.ended for answer in answers)[together - 1 : -2 * together]
    if len(ended) < 2 * together:
        raise ValueError(f"{len(answers)} answers say nothing of a rate: measure for longer")
    whole = (len(ended) - 1) // together * together
    return whole / (ended[whole] - ended[0])
