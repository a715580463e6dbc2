"""What a connection and a body may cost; the server goes on after each."""

import contextlib
import json
import re
import socket
import time
from urllib.parse import urlsplit

import pytest
from raw_http import STUCK, answer, connect, error, httpx, read_one, read_to_end

from fdcn.serve.http import limits, protocol

BODY = 20_000


@pytest.fixture(scope="module")
def served(serving, toy_bundle):
    with serving(toy_bundle, max_body=BODY, body_seconds=0.5, max_connections=20) as served:
        yield served


@pytest.fixture(autouse=True)
def _goes_on(served, monkeypatch):
    monkeypatch.setattr(limits, "LINGER", 0.2)
    yield
    done = httpx.post(f"{served.url}/v1/generate", json={"labels": [0]}, timeout=STUCK)
    assert done.status_code == 200


def head(length=None, extra="", path="/v1/generate"):
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{size}\r\n{extra}\r\n".encode()


def test_bodies_up_to_the_limit_are_read(served):
    fits = json.dumps({"labels": [0]}).ljust(BODY)
    kind = {"Content-Type": "application/json"}
    assert httpx.post(f"{served.url}/v1/generate", content=fits, headers=kind).status_code == 200
    assert httpx.post(f"{served.url}/v1/generate", content=fits + " ", headers=kind).status_code == 413
    in_parts = iter([fits.encode()[:100], fits.encode()[100:]])
    assert httpx.post(f"{served.url}/v1/generate", content=in_parts, headers=kind).status_code == 200


def test_a_large_declared_body_is_refused_before_it_comes(served):
    with connect(served.url) as connection:
        connection.sendall(head(10**15))
        status, headers, body = answer(read_to_end(connection))
    assert status == 413
    assert str(BODY) in error(body)["message"]
    assert headers["connection"] == "close"


def test_a_large_body_in_parts_is_refused_on_the_way(served):
    with connect(served.url) as connection:
        connection.sendall(head())
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"400\r\n" + b" " * 0x400 + b"\r\n")
        status, _, body = answer(read_to_end(connection))
    assert status == 413
    error(body)


@pytest.mark.parametrize("size", [BODY + 1, 3_000_000])
def test_clients_that_send_all_of_a_large_body_see_the_answer(served, size):
    refused = httpx.post(f"{served.url}/v1/generate", content=b" " * size, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    error(refused.content)


def test_an_endless_body_is_dropped(served):
    with connect(served.url) as connection:
        connection.sendall(head())
        begun = time.monotonic()
        with pytest.raises(OSError, match=r".*"):
            while time.monotonic() < begun + STUCK:
                connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    assert time.monotonic() < begun + STUCK


@pytest.mark.parametrize("path", ["/nothing", "/healthz"])
def test_bodies_that_nobody_wants_do_no_harm(served, path):
    refused = httpx.post(f"{served.url}{path}", content=b" " * 100_000)
    assert refused.status_code in (404, 405)
    error(refused.content)


@pytest.mark.parametrize("begin", [head(100), head(100) + b"{", head(), head() + b"5\r\n{"])
def test_slow_bodies_are_given_up(served, begin):
    with connect(served.url) as connection:
        connection.sendall(begin)
        status, _, body = answer(read_to_end(connection))
    assert status == 408
    assert error(body)["code"] == "request_timeout"


def test_a_body_that_trickles_is_given_up(served):
    with connect(served.url) as connection:
        connection.sendall(head(1000))
        received = drip(connection, b" ")
    assert answer(received)[0] == 408


@pytest.mark.parametrize("begin", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "])
def test_slow_heads_are_given_up(served, begin):
    with connect(served.url) as connection:
        connection.sendall(begin)
        status, _, body = answer(read_to_end(connection))
    assert status == 408
    error(body)


def test_a_head_that_trickles_is_given_up(served):
    with connect(served.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert answer(drip(connection, b"X: y\r\n"))[0] == 408


def test_a_slow_second_head_is_given_up_too(served):
    with connect(served.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
        received = read_to_end(connection)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in received


@pytest.mark.parametrize("begin", [b"\r\n", b"GET /hea"])
def test_a_kept_connection_is_not_held_by_a_few_bytes(served, begin):
    with connect(served.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(read_one(connection))[0] == 200
        connection.sendall(begin)
        assert answer(read_to_end(connection))[0] == 408


def test_an_endless_head_is_refused(served):
    with connect(served.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                connection.sendall(b"X: " + b"x" * 1000 + b"\r\n")
        received = read_to_end(connection)
    if received:  # else the client was still sending when the connection was closed
        assert answer(received)[0] == 431


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        head() + b"zz\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_an_error(served, nonsense):
    with connect(served.url) as connection:
        connection.sendall(nonsense)
        status, _, body = answer(read_to_end(connection))
    assert 400 <= status < 500
    error(body)


def test_more_connections_than_the_limit_are_refused(served):
    with contextlib.ExitStack() as held:
        for _ in range(20):
            held.enter_context(connect(served.url))
        with connect(served.url) as one_more:
            status, headers, body = answer(read_to_end(one_more))
        assert status == 503
        assert headers["retry-after"]
        assert error(body)["code"] == "too_many_connections"


def test_pipelined_requests_are_answered_in_order(served):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(served.url) as connection:
        connection.sendall(one + one.replace(b"healthz", b"nothing") + one.replace(b"Host: x", b"Connection: close"))
        received = read_to_end(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]


@pytest.mark.parametrize("offered", ["h2c", "websocket"])
def test_an_offer_to_upgrade_is_declined_and_the_body_read(served, offered):
    one = head(2, f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {offered}\r\n") + b"{}"
    with connect(served.url) as connection:
        for _ in range(2):
            connection.sendall(one)
            assert answer(read_one(connection))[0] == 200


def test_whoever_does_not_read_is_cut_off(served, monkeypatch):
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.3)
    asked = {"labels": [0] * 4, "size": "512x512", "solver": "euler", "steps": 1, "guidance": 1, "latents": True}
    body, parts = json.dumps(asked).encode(), urlsplit(served.url)
    connections = served.server._uvicorn.server_state.connections
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(STUCK)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(head(len(body)) + body)
        begun = connection.recv(1000)
        until = time.monotonic() + STUCK
        while connections:
            assert time.monotonic() < until
            time.sleep(0.05)
        length = int(answer(begun)[1]["content-length"])
        assert len(begun + read_to_end(connection)) < length


def drip(connection: socket.socket, piece: bytes) -> bytes:
    """Send a little now and then until the server answers; what it says."""
    connection.settimeout(0.05)
    begun = time.monotonic()
    while time.monotonic() < begun + STUCK:
        with contextlib.suppress(OSError):
            connection.sendall(piece)
        with contextlib.suppress(TimeoutError):
            return connection.recv(65536)
    raise AssertionError("never answered")
