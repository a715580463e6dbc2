"""`fdcn serve --ray` with parts of GPUs, and with as many replicas as the requests keep busy."""

import concurrent.futures
import signal
import threading

import pytest
from cluster import SOON, Unavailable, post, two_nodes

pytest.importorskip("ray", reason="Ray was not tested: it is not installed")
pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def cluster():
    """Two machines that say they have a GPU each; the pictures come from their processors."""
    try:
        with two_nodes(gpus=1) as made:
            yield made
    except Unavailable as error:
        pytest.skip(f"Ray on two nodes was not tested: {error}")


def test_replicas_come_as_requests_keep_them_busy_and_share_gpus(cluster, toy_bundle, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("old\n")
    words = ("--replicas", "1:3", "--gpus", 0.5, "--cpus", 0.5, "--max-batch", 1, "--api-key-file", keys)
    command = cluster.fdcn("serve", toy_bundle.path, "--ray", *words)
    assert command.stdout.readline().startswith("serving"), command.stderr.read()

    def replicas():
        return len(cluster.processes("ray::ServeReplica:fdcn-replicas"))

    stop = threading.Event()

    def load(seed):
        cluster.enter()
        statuses = set()
        while not stop.is_set():
            statuses.add(post("/v1/generate", {"labels": [0], "seed": seed, "solver": "euler", "steps": 60}, "old")[0])
        return statuses

    assert replicas() == 1
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(load, seed) for seed in range(8)]
        try:
            # Ray adds replicas after half a minute of load.
            cluster.until("there are three replicas", lambda: replicas() == 3, 2 * SOON)
        finally:
            stop.set()
        assert [client.result(SOON) for client in clients] == [{200}] * 8
    # Three halves of two GPUs: two of the replicas have one together.
    assert "1.5/2.0 GPU" in cluster.ray("status")

    def status(key):
        return cluster.inside(lambda: post("/v1/generate", {"labels": [0]}, key))[0]

    keys.write_text("new\n")
    command.send_signal(signal.SIGHUP)
    cluster.until("the keys are taken over", lambda: status("new") == 200)
    assert status("old") == 401
    command.terminate()
    assert command.wait(SOON) == 0


def test_parts_that_fit_no_gpu_together_are_refused(cluster, toy_bundle):
    command = cluster.fdcn("serve", toy_bundle.path, "--ray", "--replicas", 3, "--gpus", 0.6, "--cpus", 0.1)
    _, errors = command.communicate(timeout=SOON)
    assert command.returncode == 1
    assert "room for 2 processes of 0.1 CPUs and 0.6 GPUs each" in errors
