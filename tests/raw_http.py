"""HTTP by hand, for what no client sends; and `httpx`, the one that the openai package brings."""

import contextlib
import json
import re
import socket
from urllib.parse import urlsplit

try:
    import httpx2 as httpx
except ModuleNotFoundError:  # Python 3.10
    import httpx

__all__ = ["answer", "connect", "error", "httpx", "read_one", "read_to_end"]
STUCK = 30
"""Seconds after which a test is stuck."""


def connect(url: str) -> socket.socket:
    """A connection to a server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), STUCK)


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the server closes, or resets."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


def read_one(connection: socket.socket) -> bytes:
    """The first answer, or less where the server closes before."""
    received, length = b"", None
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
            head, end, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if end and length and len(body) >= int(length[1]):
                break
    return received


def answer(received: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the first answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def error(body: bytes) -> dict:
    """The error of a body, which must have OpenAI's shape and nothing else."""
    found = json.loads(body)
    assert set(found) == {"error"}
    assert set(found["error"]) == {"message", "type", "param", "code"}
    assert found["error"]["message"]
    return found["error"]
