"""The example server: built with the installed library, really started, and asked over the loopback."""

import contextlib
import http.client
import io
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from cpp_runtime import ROOT, configure, installed, run
from PIL import Image

import fdcn

BUNDLE = ROOT / "runtime" / "cpp" / "tests" / "bundle"
QUEUE = 3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    configure(ROOT / "examples" / "cpp" / "server", folder, f"-DCMAKE_PREFIX_PATH={installed()}")
    run("cmake", "--build", folder)
    return folder / "server"


class Server:
    """A running server."""

    def __init__(self, program: Path, *options: object) -> None:
        command = [program, "--bundle", BUNDLE, "--port", "0", *options]
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening at http://127\.0\.0\.1:(\d+)\n", line)
        assert found, line
        self.port = int(found[1])

    def ask(self, path: str, **query: object) -> tuple[int, str, bytes]:
        """Status, type and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}" if query else path)
            response = connection.getresponse()
            return response.status, response.headers["Content-Type"], response.read()
        finally:
            connection.close()

    def refused(self, path: str, **query: object) -> tuple[int, str]:
        """Status and sentence of an error, which is JSON."""
        status, kind, body = self.ask(path, **query)
        assert kind == "application/json"
        return status, json.loads(body)["error"]

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(program: Path) -> Iterator[Server]:
    running = Server(program, "--queue", QUEUE, "--largest", 64)
    yield running
    assert running.stop() == 0


def test_it_gives_the_picture_that_python_makes(server: Server, tmp_path: Path) -> None:
    status, kind, body = server.ask("/generate", label="ring", size="12x8", seed=2**64 - 1, steps=5, guidance=2.5)
    assert (status, kind) == (200, "image/png")
    images = fdcn.load(BUNDLE)(labels=["Ring"], size=(12, 8), seed=2**64 - 1, steps=5, guidance=2.5)
    images.save(tmp_path / "python.png")
    with Image.open(io.BytesIO(body)) as cpp, Image.open(tmp_path / "python.png") as python:
        assert cpp.text == python.text
        assert np.array_equal(np.asarray(cpp), np.asarray(python))


def test_health(server: Server) -> None:
    status, kind, body = server.ask("/health")
    assert (status, kind) == (200, "application/json")
    said = json.loads(body)
    assert said.pop("backend").startswith("ONNX Runtime")
    assert said == {"status": "ok", "waiting": 0, "queue": QUEUE}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({}, "label is missing: a class's number or name"),
        ({"label": "Rink"}, "no class is called 'Rink'; the nearest are 'Ring'"),
        ({"label": "Ring", "size": "65x8"}, "a picture's side has at most 64 pixels here"),
        ({"label": "Ring", "seed": "0x1"}, "seed is no number that fits: '0x1'"),
        ({"label": "Ring", "seed": '1, "count": 2'}, "seed is no number that fits: '1, "),
        ({"label": "Ring", "seed": "9" * 2000}, "seed is no number that fits: '999"),
        ({"label": "Ring", "seed": "1.5"}, "seed"),
        ({"label": "Ring", "steps": "5x"}, "steps is no number that fits: '5x'"),
        ({"label": "Ring", "colour": "red"}, "nothing is called colour here; "),
        ({"label": 'a"\n\\'}, "no class is called "),
        ({"label": "Ring", "size": "large"}, "large"),
        ({"label": "Ring", "guidance": "nan"}, "guidance"),
        ({"label": "Ring", "solver": "magic"}, "magic"),
        ({"label": "Ring", "steps": 10**9}, "steps"),
    ],
)
def test_impossible_requests_are_the_callers_fault(server: Server, query: dict[str, object], sentence: str) -> None:
    status, said = server.refused("/generate", **query)
    assert status == 400
    assert sentence in said


def test_a_seed_is_any_whole_number(server: Server) -> None:
    """As in the library: modulo 2^64."""
    pictures = [server.ask("/generate", label=0, seed=seed) for seed in (2**64 - 1, -1, 2**65 - 1)]
    assert {status for status, _, _ in pictures} == {200}
    assert len({body for _, _, body in pictures}) == 1


def test_what_is_not_served(server: Server) -> None:
    there = "; there are GET /generate and GET /health"
    assert server.refused("/") == (404, "GET / is not served" + there)
    long = server.refused("/health?" + "a" * 9000)
    assert long == (414, "the request is too long or malformed" + there)


def test_answers_are_utf8_whatever_was_asked(server: Server) -> None:
    valid, broken = "aß€\U0001f600\u0800\ud7ff", b"\xff.\x80.\xc3.\xe0\x80\x80.\xed\xa0\x80.\xf4\x90\x80\x80.\xf0\x9f"
    name = quote(valid.encode() + broken)
    replaced = valid + "?.?.?.???.???.????.??".replace("?", "\ufffd")
    status, said = server.refused(f"/generate?{name}=1")
    assert status == 400
    assert said.startswith(f"nothing is called {replaced} here; ")
    assert "\ufffd" in server.refused("/generate?label=%ff")[1]


def test_the_largest_holds_for_the_default_size(program: Path) -> None:
    running = Server(program, "--largest", 4)
    assert running.refused("/generate", label=0) == (400, "a picture's side has at most 4 pixels here")
    assert running.ask("/generate", label=0, size="4x4")[0] == 200
    assert running.stop() == 0


def test_callers_together(server: Server) -> None:
    """More of them than the queue holds: each gets a picture, or is told to come again."""
    with ThreadPoolExecutor(4 * QUEUE) as pool:
        answers = list(pool.map(lambda seed: server.ask("/generate", label=0, seed=seed, steps=15), range(40)))
    assert {status for status, _, _ in answers} <= {200, 503}
    assert len({body for status, _, body in answers if status == 200}) > 1
    assert json.loads(server.ask("/health")[2])["waiting"] == 0


def test_it_ends_with_the_pictures_under_way(program: Path) -> None:
    running = Server(program)
    with ThreadPoolExecutor(1) as pool:
        picture = pool.submit(running.ask, "/generate", label=0, size="256x256", steps=15)
        while json.loads(running.ask("/health")[2])["waiting"] == 0 and not picture.done():
            pass
        assert running.stop() == 0
        assert picture.result()[0] == 200


def test_callers_that_never_finish_do_not_keep_it(program: Path) -> None:
    """They hold every thread and go on after SIGTERM; a picture under way is delivered all the same."""
    running = Server(program, "--queue", 2)
    with ThreadPoolExecutor(2) as pool:
        picture = pool.submit(running.ask, "/generate", label=0, size="256x256", steps=15)
        while json.loads(running.ask("/health")[2])["waiting"] == 0 and not picture.done():
            pass
        callers = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(8)]
        for caller in callers:
            caller.sendall(b"GET /health HTTP/1.1\r\nX: ")
        ended = pool.submit(running.stop)
        while not ended.done():
            for caller in callers:
                with contextlib.suppress(OSError):
                    caller.sendall(b"a")
            time.sleep(0.3)
        assert ended.result() == 0
        assert picture.result()[0] == 200
    for caller in callers:
        caller.close()


def test_it_says_why_it_does_not_start(program: Path, server: Server, tmp_path: Path) -> None:
    for options, status, sentence in (
        (["--bundle", tmp_path], 1, "error: "),
        (["--port", "65536"], 2, "--port takes a number from 0 to 65535, not '65536'"),
        (["--queue"], 2, "--queue stands without its value"),
        (["--bundle", BUNDLE, "--port", server.port], 1, f"error: cannot listen at 127.0.0.1:{server.port}"),
    ):
        done = subprocess.run(list(map(str, [program, *options])), capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert sentence in done.stderr
