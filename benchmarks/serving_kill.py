"""On Ray, on two nodes of this machine: replicas are killed while clients ask, and every client gets its picture."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serving_client import Answer, closed_loop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from cluster import SOON, Cluster, two_nodes

PORT = 8000
CLIENTS = 8
REPLICAS = 2
TITLE = "ray::ServeReplica:fdcn-replicas"
BEFORE = 5.0
"""Seconds of load before the first kill, and after the last one."""


def kill(bundle: Path, seconds: float, kills: int = 3) -> dict[str, Any]:
    """Load for so many seconds with so many kills; what the clients got. Raises `cluster.Unavailable`."""
    with two_nodes() as cluster, _served(cluster, bundle):
        killer = _Killer(cluster, seconds, kills)
        answers = cluster.inside(lambda: asyncio.run(_load(killer, seconds)))
        killer.join()
    failed = [
        f"{answer.status}: {answer.body[:200].decode('utf-8', 'replace')}" for answer in answers if answer.status != 200
    ]
    taken = sorted(answer.seconds for answer in answers)
    return {
        "replicas": REPLICAS,
        "clients": CLIENTS,
        "seconds": seconds,
        "kills": killer.killed,
        "requests": len(answers),
        "lost": len(failed),
        "p50": taken[len(taken) // 2],
        "most": taken[-1],
        "failures": failed[:10] + ([] if killer.killed == kills else [f"only {killer.killed} replicas were killed"]),
    }


async def _load(killer: "_Killer", seconds: float) -> list[Answer]:
    killer.start()
    return await closed_loop(PORT, CLIENTS, seconds, lambda i: {"prompt": str(i % 10), "seed": i})


class _Killer(threading.Thread):
    """Kills a replica now and then, each time when all are there."""

    def __init__(self, cluster: Cluster, seconds: float, kills: int) -> None:
        super().__init__(daemon=True)
        self._cluster, self._wanted = cluster, kills
        self._between = (seconds - 2 * BEFORE) / kills
        self.killed = 0

    def run(self) -> None:
        time.sleep(BEFORE)
        for _ in range(self._wanted):
            begun = time.monotonic()
            replicas = self._cluster.processes(TITLE)
            while len(replicas) < REPLICAS and time.monotonic() < begun + self._between:
                time.sleep(0.2)
                replicas = self._cluster.processes(TITLE)
            replicas[0].kill()  # SIGKILL
            self.killed += 1
            time.sleep(max(0.0, begun + self._between - time.monotonic()))


@contextlib.contextmanager
def _served(cluster: Cluster, bundle: Path) -> Iterator[None]:
    """The server on Ray, from when it is ready until it has ended."""
    command = cluster.fdcn("serve", bundle, "--ray", "--port", PORT, "--replicas", REPLICAS, "--cpus", 1)
    assert command.stdout is not None
    try:
        if not any(line.startswith("serving") for line in command.stdout):
            raise RuntimeError(f"the server did not become ready: {command.communicate()[1][-2000:]}")
        yield
    finally:
        command.terminate()
        try:
            command.communicate(timeout=SOON)
        except subprocess.TimeoutExpired:
            command.kill()
