"""The server's process: signals, drain, a new bundle, and the logs."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from raw_http import httpx
from waiting import until

from fdcn.errors import FdcnError
from fdcn.serve.http import server
from fdcn.serve.http.server import address, bind

SOON = 60
"""Seconds after which a test is stuck."""
LONG = {"labels": ["Disc"], "solver": "euler", "steps": 1500}
"""About a second of sampling."""

linux = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals were not tested: Windows has others")


def ask(url: str, path: str = "/v1/generate", body: dict | None = None) -> tuple[int, dict]:
    """Status and answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SOON)
    try:
        text = None if body is None else json.dumps(body)
        connection.request("POST" if body else "GET", path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Process:
    """`fdcn serve`, running."""

    def __init__(self, bundle, *options):
        command = [sys.executable, "-m", "fdcn.cli", "serve", bundle.path, "--port", "0", *options]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process = subprocess.Popen(list(map(str, command)), text=True, **pipes)
        self.lines: list[dict] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.said = [self.process.stdout.readline().strip() for _ in range(2)]
        self.url = self.said[-1].rpartition(" ")[2]

    def _read(self):
        self.lines.extend(map(json.loads, self.process.stderr))

    def logged(self, message: str) -> list[dict]:
        """Lines of the log."""
        return [line for line in list(self.lines) if line["message"] == message]

    def ended(self) -> int:
        """The exit status; waits for it."""
        status = self.process.wait(SOON)
        self._reader.join(SOON)
        return status

    def kill(self):
        """Leave nothing behind."""
        self.process.kill()
        self.ended()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def started(toy_bundle, tmp_path):
    """Starts processes, each with a bundle of its own to change at `bundle.path`."""
    processes = []

    def start(*options):
        own = type(toy_bundle)(shutil.copytree(toy_bundle.path, tmp_path / "toy"), toy_bundle.manifest)
        processes.append(Process(own, *options))
        return processes[-1], own.path

    yield start
    for process in processes:
        process.kill()


@linux
def test_a_process_takes_over_a_bundle_and_ends_when_all_is_done(started):
    served, path = started("--max-steps", 10_000, "--drain-seconds", SOON)
    backend, line = served.said
    assert backend.startswith("ONNX Runtime")
    assert line.startswith("serving toy on http://127.0.0.1:")
    assert ask(served.url, "/readyz")[0] == 200
    first = ask(served.url, "/v1/model")[1]

    manifest = path / "manifest.json"
    good = manifest.read_text("utf-8")
    manifest.write_text("{", "utf-8")
    served.process.send_signal(signal.SIGHUP)
    until(lambda: served.logged("the bundle was not taken over; the old one is served on"), SOON)
    assert ask(served.url, "/v1/model") == (200, first)
    manifest.write_text(good.replace('"Disc"', '"Disk"'), "utf-8")
    with ThreadPoolExecutor() as threads:
        old = threads.submit(ask, served.url, body=LONG)
        until(lambda: ask(served.url, "/readyz")[1]["waiting"] == 1, SOON)
        served.process.send_signal(signal.SIGHUP)
        until(lambda: ask(served.url, "/v1/model")[1]["class_names"][0] == "Disk", SOON)
        assert old.result(SOON)[0] == 200
        assert ask(served.url, body={"labels": ["Disc"]})[0] == 400

        last = [threads.submit(ask, served.url, body={**LONG, "labels": [i], "seed": i}) for i in range(3)]
        until(lambda: ask(served.url, "/readyz")[1]["waiting"] == 3, SOON)
        served.process.send_signal(signal.SIGTERM)
        until(lambda: ask(served.url, "/readyz")[0] == 503, SOON)
        assert ask(served.url, body={"labels": [0]})[0] == 503
        assert [one.result(SOON)[0] for one in last] == [200, 200, 200]
    assert served.ended() == 0
    assert [line["waiting"] for line in served.logged("ending")] == [3]
    assert served.logged("ended")
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in served.lines)
    assert not [line for line in served.lines if "exception" in line]


@linux
def test_keys_are_changed_while_it_serves(started, tmp_path):
    file = tmp_path / "keys"
    file.write_text("old\n")
    served, _ = started("--api-key-file", file)

    def status(key):
        return httpx.get(f"{served.url}/v1/model", headers={"Authorization": f"Bearer {key}"}, timeout=SOON).status_code

    assert (status("old"), status("new")) == (200, 401)
    file.write_text("new\n")
    served.process.send_signal(signal.SIGHUP)
    until(lambda: status("new") == 200, SOON)
    assert status("old") == 401
    file.write_text("")
    served.process.send_signal(signal.SIGHUP)
    until(lambda: served.logged("the keys were not taken over; the old ones hold on"), SOON)
    assert (status("new"), status("old")) == (200, 401)


@linux
def test_hangups_during_a_reload_are_one_more_reload():
    reloads = []

    class Slow:
        """A server whose reload takes until its end."""

        async def run(self, ready):
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGHUP)
                await asyncio.sleep(0.01)
            assert len(reloads) == 1
            reloads[0].set()
            while len(reloads) < 2:
                await asyncio.sleep(0.01)

        async def reload(self):
            reloads.append(asyncio.Event())
            await reloads[-1].wait()

    numbers = (*server.ENDS, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        asyncio.run(asyncio.wait_for(server._signalled(Slow(), None), SOON))
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert len(reloads) == 2


@linux
def test_a_second_signal_is_not_waited_for(started):
    served, _ = started("--max-steps", 10_000)
    with ThreadPoolExecutor() as threads:
        cut = threads.submit(ask, served.url, body={**LONG, "steps": 10_000})
        until(lambda: ask(served.url, "/readyz")[1]["waiting"] == 1, SOON)
        served.process.send_signal(signal.SIGINT)
        until(lambda: served.logged("ending"), SOON)
        served.process.send_signal(signal.SIGTERM)
        assert served.ended() == -signal.SIGTERM
        with pytest.raises((OSError, http.client.HTTPException)):
            cut.result(SOON)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_done_in_time_is_given_up(toy_bundle, serving, stream):
    begun, body = threading.Event(), {**LONG, "steps": 10_000, "stream": stream}

    def sent():
        with httpx.stream("POST", f"{served.url}/v1/generate", json=body, timeout=SOON) as answer:
            begun.set()
            return answer.status_code, answer.read().decode()

    with serving(toy_bundle, max_steps=10_000, drain=0.2) as served, ThreadPoolExecutor() as threads:
        cut = threads.submit(sent)
        until(lambda: ask(served.url, "/readyz")[1]["waiting"] == 1, SOON)
        assert not stream or begun.wait(SOON)
        served.end()
        status, text = cut.result(SOON)
        assert status == (200 if stream else 503)
        assert '"code":"not_ready"' in text.replace(" ", "")
        assert served.generator.waiting == 0


def test_ports_that_are_taken_and_hosts_that_are_not_there():
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert address(bound) == f"http://127.0.0.1:{port}"
        with pytest.raises(FdcnError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*; choose another"):
            bind("127.0.0.1", port)
    with pytest.raises(FdcnError, match=r"cannot listen on 192\.0\.2\.1:0"):
        bind("192.0.2.1", 0)
    for host in ("not a host", "a..b"):
        with pytest.raises(FdcnError, match=f"cannot listen on {host}:0"):
            bind(host, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="IPv6 was not tested: this Python has none")
def test_addresses_of_ipv6():
    try:
        bound = bind("::1", 0)
    except FdcnError as error:
        pytest.skip(f"IPv6 was not tested: {error}")
    with bound:
        assert address(bound) == f"http://[::1]:{bound.getsockname()[1]}"


def test_a_server_whose_bundle_cannot_be_loaded_ends(toy_bundle, serving, tmp_path):
    gone = type(toy_bundle)(tmp_path / "gone", toy_bundle.manifest)
    with pytest.raises(FdcnError, match="does not exist"), serving(gone):
        pass
