"""The load on `fdcn serve`: what clients send and read, how numbers are made of it, and the table."""

import asyncio
import json
import random

import machine
import pytest
import serving
import serving_bad
import serving_soak
import serving_tables
from serving_client import Answer, Connection, closed_loop, open_loop, pictures_a_second


def against(handle, work):
    """The result of `await work(port)`, beside a server that answers bodies by `handle`: bytes of whole answers."""

    async def connected(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(x.split(b":")[1]) for x in head.split(b"\r\n") if b"Content-Length" in x), 0)
                writer.write(await handle(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run():
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        async with server:
            return await work(server.sockets[0].getsockname()[1])

    return asyncio.run(run())


async def echo(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_closed_loops_ask_again_until_the_end_and_number_their_requests():
    answers = against(echo, lambda port: closed_loop(port, 3, 0.3, lambda i: {"seed": i}))
    assert sorted(json.loads(answer.body)["seed"] for answer in answers) == list(range(len(answers)))
    assert len(answers) > 10
    assert {answer.status for answer in answers} == {200}


def test_open_loops_count_from_when_a_request_was_due():
    lock = asyncio.Lock()

    async def one_by_one(body):
        async with lock:
            await asyncio.sleep(0.02)
        return await echo(body)

    answers = against(one_by_one, lambda port: open_loop(port, 100, 0.5, lambda i: {"seed": i}))
    assert 20 < len(answers) < 80  # Poisson, 50 on average
    # Twice as many come as are served: the last ones wait for half of all.
    assert max(answer.seconds for answer in answers) > 0.25 * 0.02 * len(answers)


def test_answers_in_chunks_are_read_whole_and_closed_connections_opened_again():
    async def chunked(body):
        return (
            b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
        )

    async def twice(port):
        connection = Connection(port)
        return [await connection.post("/", {}), await connection.get("/")]

    assert [(answer.status, answer.body) for answer in against(chunked, twice)] == [(503, b"abcd")] * 2


def test_the_rate_of_groups_is_that_between_their_ends():
    # Groups of four end every half second: eight a second, whatever the first and the last ones do.
    answers = [Answer(200, 0.1, 100 + 0.5 * (i // 4), b"") for i in range(4 * 50)]
    assert pictures_a_second(answers, 4) == pytest.approx(8)
    with pytest.raises(ValueError, match="longer"):
        pictures_a_second(answers[:10], 4)


def test_quantiles_and_slopes():
    ordered = [i / 100 for i in range(100)]
    assert (serving.quantile(ordered, 0.5), serving.quantile(ordered, 0.99)) == (0.5, 0.99)
    assert serving.quantile([3.0], 0.99) == 3.0
    assert serving_soak.slope([0.0, 1.0, 2.0], [5.0, 7.0, 9.0]) == pytest.approx(2)


def test_damaged_requests_are_what_they_are_called():
    kinds = {}
    for i in range(300):
        kind, content = serving_bad._request(random.Random(i))
        kinds.setdefault(kind, []).append(content)
    assert set(kinds) == set(serving_bad.KINDS)
    assert all(content.startswith(b"POST /v1/") for content in kinds["values"] + kinds["no json"])
    for content in kinds[serving_bad.CUT]:
        head, _, body = content.partition(b"\r\n\r\n")
        assert not head.endswith(b"Content-Length: %d" % len(body)) or not body.endswith(b"}")


def test_parts_are_put_beside_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    assert serving_tables.serving().count(serving_tables.UNKNOWN) == 7
    part = {"machine": {"cores": 2, "processor": "a CPU"}, "failures": []}
    serving.write("bad", part | {"requests": 10_000, "statuses": {"values: 400": 9_000}})
    serving.write("kill", part | {"kills": 3, "requests": 50, "clients": 8, "lost": 0, "most": 2.0})
    assert set(machine.read("serving")) == {"bad", "kill"}
    table = serving_tables.serving()
    assert "10,000: **none** answered" in table
    assert "**0 lost**" in table
    assert table.count(serving_tables.UNKNOWN) == 5
