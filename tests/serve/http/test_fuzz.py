"""Requests that nobody means: no answer is a server's error, and the server goes on."""

import random
import re
import subprocess
import sys

import pytest
from raw_http import answer, connect, error, httpx, read_one

from fdcn.serve.http import limits

CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"
BODY = b'{"labels": ["Disc"], "size": "16x8", "seed": 1}'
VALID = b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
VALID += b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.fixture(scope="module")
def served(serving, toy_bundle):
    with serving(toy_bundle, body_seconds=0.1, max_size=(64, 64), max_steps=20) as served:
        yield served


def mutated(draw: random.Random) -> bytes:
    """A request with some bytes exchanged, left out, or doubled; or none at all."""
    if draw.random() < 0.2:
        return draw.randbytes(draw.randrange(1, 300))
    data = bytearray(VALID)
    for _ in range(draw.randrange(1, 6)):
        at, length = draw.randrange(len(data)), draw.randrange(1, 8)
        piece = draw.choice([b"", draw.randbytes(length), bytes(data[at : at + length]) * 2])
        data[at : at + length] = piece
    return bytes(data)


def test_damaged_requests_get_no_server_error(served, monkeypatch):
    monkeypatch.setattr(limits, "LINGER", 0.05)
    draw = random.Random(8)
    seen = set()
    for _ in range(150):
        data = mutated(draw)
        with connect(served.url) as connection:
            connection.sendall(data)
            received = read_one(connection)
        if not received:
            continue
        status, _, body = answer(received)
        seen.add(status)
        assert status < 500, data
        if status >= 400 and not re.match(rb"HEAD", data):
            error(body)
    assert {200, 400} <= seen
    assert httpx.get(f"{served.url}/readyz").status_code == 200


@pytest.mark.large
def test_schemathesis_finds_nothing(served, tmp_path):
    if sys.version_info < (3, 11):
        pytest.skip("the schema was not tested: schemathesis needs Python 3.11")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", "--phases=fuzzing"]
    command += ["--max-examples=100", f"--checks={CHECKS}", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 100
    assert httpx.get(f"{served.url}/readyz").status_code == 200
