"""A Ray cluster of two machines, which are two nodes on this one, in a network namespace of their own."""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil

PORT = 26379
"""Outside those that Ray gives to workers, 10002 to 19999."""
SOON = 60
"""Seconds after which something is stuck."""
RAY = Path(sys.executable).with_name("ray")
NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""
URL = "http://127.0.0.1:8000"
"""Of `fdcn serve` there, to those inside its network."""
T = TypeVar("T")


class Unavailable(Exception):
    """This machine has no such cluster; the message says why."""


class Cluster:
    """Two running nodes of one CPU each. Commands and threads get into their network by `fdcn` and `inside`."""

    def __init__(self, namespace: Path, folder: Path) -> None:
        self._namespace, self.folder = namespace, folder
        self.environment = os.environ | {
            "RAY_ADDRESS": f"127.0.0.1:{PORT}",
            "RAY_TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Of its own: Ray would take one that lies in the user's home for the first node alone.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }

    def start(self, *command: object, **options: Any) -> "subprocess.Popen[Any]":
        """Start a program there."""
        words = ["nsenter", f"--net={self._namespace}", *map(str, command)]
        return subprocess.Popen(words, env=self.environment, **options)

    def fdcn(self, *words: object) -> "subprocess.Popen[str]":
        """Start fdcn's command line there, with pipes to what it prints."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return self.start(sys.executable, "-m", "fdcn.cli", *words, **pipes)

    def ray(self, *words: str) -> str:
        """What one of Ray's own commands prints there."""
        return self.start(RAY, *words, stdout=subprocess.PIPE, text=True).communicate(timeout=SOON)[0]

    def inside(self, work: Callable[[], T]) -> T:
        """Call a function in a thread of that network, and wait for it."""
        results: list[T] = []
        errors: list[BaseException] = []

        def entered() -> None:
            try:
                self.enter()
                results.append(work())
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)

        thread = threading.Thread(target=entered)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def enter(self) -> None:
        """Move this thread into the network: what it connects to from now on is there."""
        with self._namespace.open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "setns")

    def processes(self, titled: str = "") -> list[psutil.Process]:
        """The processes in the network whose title begins so."""
        own = self._namespace.stat().st_ino
        return [process for process in psutil.process_iter() if _network(process) == own and _has(process, titled)]

    def until(self, what: str, true: Callable[[], Any], seconds: float = SOON) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not so after {seconds} s: {what}"
            time.sleep(0.05)


def post(path: str, body: Any, key: str = "") -> tuple[int, Any]:
    """Status and JSON of a request; an error's too."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=SOON) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _network(process: psutil.Process) -> int:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/ns/net").stat().st_ino
    return 0


def _has(process: psutil.Process, title: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).startswith(title)
    return False


@contextlib.contextmanager
def two_nodes(gpus: int = 0) -> Iterator[Cluster]:
    """Start the nodes, and end them with all that they started. Raises Unavailable.

    Each says that it has so many GPUs: Ray counts what it gives away, and does not look.
    """
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            raise Unavailable(f"there is no {program}")
    alone = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"]
    holder = subprocess.Popen(alone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = Path(tempfile.mkdtemp(prefix="fdcn-ray-", dir="/tmp"))  # short: sockets lie in it
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            raise Unavailable(f"no network namespace can be made: {holder.stderr.read().strip()}")
        cluster = Cluster(Path(f"/proc/{holder.pid}/ns/net"), folder)
        try:
            head = f"--head --node-ip-address=127.0.0.1 --port={PORT} --include-dashboard=false --temp-dir={folder}"
            _start_node(cluster, folder / "head.log", gpus, head)
            _start_node(cluster, folder / "other.log", gpus, f"--address=127.0.0.1:{PORT}")
            yield cluster
        finally:
            for process in cluster.processes():
                if process.pid != holder.pid:  # it keeps the network, by which the others are known
                    with contextlib.suppress(psutil.Error):
                        process.kill()
    finally:
        holder.kill()
        holder.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _start_node(cluster: Cluster, log: Path, gpus: int, options: str) -> None:
    common = [
        "--num-cpus=1",
        f"--num-gpus={gpus}",
        "--object-store-memory=150000000",
        "--disable-usage-stats",
        "--block",
    ]
    with log.open("wb") as file:
        node = cluster.start(RAY, "start", *options.split(), *common, stdout=file, stderr=file)

    def up() -> bool:
        assert node.poll() is None, f"a node has ended: {log.read_text()}"
        return "Ray runtime started" in log.read_text()

    cluster.until("a node is up", up)
