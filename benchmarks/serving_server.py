"""`fdcn serve` in a process of its own, and `pipe` alone in another, to be compared with it."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime
from fdcn.export.exporter import export

CHECKPOINT = Path(__file__).resolve().parent.parent / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"
STARTED = 120.0
"""Seconds within which a server must be ready,"""
ENDED = 60.0
"""and after SIGTERM gone."""
ALONE = """
import sys, time, fdcn
pipe = fdcn.load(sys.argv[1])
print(flush=True)
for i, line in enumerate(sys.stdin):
    images = int(line)
    start = time.perf_counter()
    pipe(labels=[k % 10 for k in range(i, i + images)], seed=i)
    print(time.perf_counter() - start, flush=True)
"""


class Server:
    """One that is ready."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log
        self._seen = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """That it has used until now, all threads together."""
        times = self._seen.cpu_times()
        return times.user + times.system

    def resident(self) -> int:
        """Bytes."""
        return self._seen.memory_info().rss

    def open_files(self) -> int:
        """File descriptors, sockets among them."""
        return self._seen.num_fds()

    def threads(self) -> int:
        return self._seen.num_threads()

    def alive(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def serving(bundle: Path, *options: object) -> Iterator[Server]:
    """`fdcn serve` on a free port of this machine. Raises RuntimeError where it does not start, or ends badly."""
    port = free_port()
    command = [sys.executable, "-m", "fdcn.cli", "serve", bundle, "--host", "127.0.0.1", "--port", port, *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(list(map(str, command)), stdout=file, stderr=file)
        try:
            server = Server(process, port, log)
            _wait_until_ready(server)
            yield server
            process.send_signal(signal.SIGTERM)
            if (status := process.wait(ENDED)) != 0:
                raise RuntimeError(f"the server ended with status {status}: {log.read_text()[-2000:]}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def _wait_until_ready(server: Server) -> None:
    until = time.monotonic() + STARTED
    while status(server.port, "/readyz") != 200:
        if not server.alive() or time.monotonic() > until:
            raise RuntimeError(f"the server did not become ready: {server.log.read_text()[-2000:]}")
        time.sleep(0.1)


def status(port: int, path: str) -> int | None:
    """What a GET gives, or None where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


@contextlib.contextmanager
def alone(bundle: Path) -> "Iterator[Alone]":
    """A pipeline in a process of its own, without any server."""
    made = Alone(bundle)
    try:
        yield made
    finally:
        made.close()


class Alone:
    """A loaded pipeline that makes batches when it is told to."""

    def __init__(self, bundle: Path) -> None:
        command = [sys.executable, "-c", ALONE, str(bundle)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def seconds(self, images: int) -> float:
        """That a batch took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{images}\n")
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def shipped(folder: Path) -> Path:
    """The shipped checkpoint, exported and built for this machine."""
    export(CHECKPOINT, folder)
    build_onnxruntime(Bundle.open(folder))
    return folder


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
