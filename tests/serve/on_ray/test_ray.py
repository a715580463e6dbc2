"""`fdcn sample --ray` and `fdcn serve --ray` on two nodes: workers and replicas are killed, and nothing is lost."""

import base64
import collections
import concurrent.futures
import io
import json
import shutil
import signal
import threading
import time
import urllib.request

import numpy as np
import pytest
from cluster import SOON, URL, Unavailable, post, two_nodes
from PIL import Image

from fdcn.runtime.pipeline import Pipeline

pytest.importorskip("ray", reason="Ray was not tested: it is not installed")
pytestmark = pytest.mark.large
ROUNDING = 1
"""Levels: pictures that are sampled together may take other matrix kernels."""
SLOW = {"solver": "euler", "steps": 250}
"""Long enough for something to happen meanwhile."""


@pytest.fixture(scope="module")
def cluster():
    try:
        with two_nodes() as made:
            yield made
    except Unavailable as error:
        pytest.skip(f"Ray on two nodes was not tested: {error}")


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    with Pipeline(toy_bundle, "onnxruntime") as made:
        yield made


def assert_same(got, want):
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want.astype(int)).max() <= ROUNDING


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(cluster, toy_bundle, pipe, tmp_path):
    number, shard = 240, 4
    asked = ["--num", number, "--shard", shard, "--solver", "euler", "--steps", 100, "--seed", 5]
    command = cluster.fdcn("sample", toy_bundle.path, "--out", tmp_path / "set", "--ray", *asked)
    cluster.until("some shards are done", lambda: len(list(tmp_path.glob("set/parts/*.npy"))) >= 4)
    workers = cluster.processes("ray::MapWorker")
    assert len(workers) == 2
    workers[0].kill()
    done = len(list(tmp_path.glob("set/parts/*.npy")))
    assert done < number // shard - 4, "it was killed at the end, not in the middle"
    output, errors = command.communicate(timeout=2 * SOON)
    assert command.returncode == 0, errors
    assert f"wrote {number:,} pictures" in output
    with np.load(tmp_path / "set" / "samples.npz") as archive:
        pixels = archive["arr_0"]
    want = pipe([i % 3 for i in range(number)], seeds=[5 + i for i in range(number)], solver="euler", steps=100).pixels
    assert_same(pixels, want.repeat(3, axis=3))  # every index once, in its place
    assert not (tmp_path / "set" / "parts").exists()


def test_a_cluster_that_is_not_there_is_said_in_one_line(fdcn, toy_bundle, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = fdcn("sample", toy_bundle.path, "--num", 1, "--out", "set", "--ray")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot connect to the Ray cluster at 127.0.0.1:1" in done.stderr


def test_what_a_worker_cannot_make_is_said_in_one_line(cluster, toy_bundle, tmp_path):
    command = cluster.fdcn(
        "sample", toy_bundle.path, "--num", 4, "--out", tmp_path / "set", "--ray", "--backend", "tensorrt"
    )
    _, errors = command.communicate(timeout=SOON)
    assert command.returncode == 1
    assert "Traceback" not in errors
    assert "TensorRT" in errors.splitlines()[-1]


def test_processes_that_no_machine_has_room_for_are_refused(cluster, toy_bundle, tmp_path):
    command = cluster.fdcn("sample", toy_bundle.path, "--num", 4, "--out", tmp_path / "set", "--ray", "--cpus", 1.5)
    _, errors = command.communicate(timeout=SOON)
    assert command.returncode == 1
    assert "room for 0 processes of 1.5 CPUs each" in errors  # of two machines with one CPU each


def get(path):
    with urllib.request.urlopen(f"{URL}{path}", timeout=SOON) as response:
        return json.load(response)


def picture(answer):
    decoded = Image.open(io.BytesIO(base64.b64decode(answer["images"][0]["b64_json"])))
    return np.asarray(decoded)[None, :, :, None]


@pytest.fixture(scope="module")
def served(cluster, toy_bundle, tmp_path_factory):
    """A server with two replicas: its process and the folder of its bundle."""
    folder = tmp_path_factory.mktemp("served") / "toy"
    shutil.copytree(toy_bundle.path, folder)
    command = cluster.fdcn("serve", folder, "--ray", "--replicas", 2, "--max-batch", 2, "--max-queue", 10)
    for line in command.stdout:
        if line.startswith("serving"):
            break
    else:
        pytest.fail(command.stderr.read())
    command.folder = folder
    yield command
    command.kill()


def test_replicas_make_the_pictures_of_the_pipeline(cluster, served, pipe):
    status, answer = cluster.inside(lambda: post("/v1/generate", {"labels": ["Ring"], "seed": 3, "size": "16x8"}))
    assert status == 200
    assert_same(picture(answer), pipe(["Ring"], seed=3, size=(16, 8)).pixels)


def test_errors_of_replicas_keep_their_status_and_shape(cluster, served):
    status, answer = cluster.inside(lambda: post("/v1/generate", {"labels": ["Rign"]}))
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert "Ring" in answer["error"]["message"]
    assert cluster.inside(lambda: post("/v1/generate", {"steps": 251, "solver": "euler"}))[0] == 400
    number = io.BytesIO()
    np.save(number, np.float32(1))
    no_latent = {"labels": [0], "noise": base64.b64encode(number.getvalue()).decode()}
    assert cluster.inside(lambda: post("/v1/generate", no_latent))[0] == 400
    late = {"labels": [0, 1, 2], "count": 3, "size": "64x64", "deadline": 1, **SLOW}
    assert cluster.inside(lambda: post("/v1/generate", late))[0] == 504


def test_progress_arrives_as_it_is_made(cluster, served):
    body = json.dumps({"labels": [0], "stream": True, "solver": "euler", "steps": 8, "preview_every": 2}).encode()

    def events():
        request = urllib.request.Request(f"{URL}/v1/generate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SOON) as response:
            return [line.split()[1] for line in response.read().decode().splitlines() if line.startswith("event:")]

    seen = cluster.inside(events)
    assert seen[-1] == "result"
    assert {"progress", "preview"} <= set(seen)


def test_a_replica_killed_under_load_loses_no_request(cluster, served, pipe):
    stop, results = threading.Event(), []

    def load(first):
        cluster.enter()
        for seed in range(first, 1 << 20, 6):
            if stop.is_set():
                return
            results.append((seed, *post("/v1/generate", {"labels": [1], "seed": seed, "solver": "euler", "steps": 60})))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(load, first) for first in range(6)]
        try:
            cluster.until("requests are answered", lambda: len(results) > 20)
            replicas = cluster.processes("ray::ServeReplica:fdcn-replicas")
            assert len(replicas) == 2
            replicas[0].kill()
            killed = len(results)
            cluster.until(
                "another one has begun",
                lambda: len({*cluster.processes("ray::ServeReplica:fdcn-replicas")} - {*replicas}) == 1,
            )
            cluster.until("requests are answered after it", lambda: len(results) > killed + 60)
        finally:
            stop.set()
        for client in clients:
            client.result(SOON)
    assert [status for _, status, _ in results] == [200] * len(results)
    logs = [log.read_text() for log in cluster.folder.glob("session_latest/logs/worker*.err")]
    assert any("a replica was lost; trying another" in text for text in logs), "it was killed while it did nothing"
    for seed, _, answer in results[killed : killed + 30]:
        assert_same(picture(answer), pipe([1], seed=seed, solver="euler", steps=60).pixels)


def test_more_requests_than_the_queue_holds_are_refused(cluster, served):
    def ask(seed):
        cluster.enter()
        return post("/v1/generate", {"labels": [1], "seed": seed, "size": "64x64", "solver": "euler", "steps": 100})

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))
    statuses = collections.Counter(status for status, _ in answers)
    assert set(statuses) == {200, 429}
    assert statuses[200] >= 10
    assert {answer["error"]["code"] for status, answer in answers if status == 429} == {"rate_limit_exceeded"}


def test_a_client_that_leaves_frees_the_replica(cluster, served):
    def leave():
        body = json.dumps({"labels": [0], "size": "128x128", **SLOW}).encode()
        request = urllib.request.Request(f"{URL}/v1/generate", body, {"Content-Type": "application/json"})
        with pytest.raises(OSError, match="timed out"):
            urllib.request.urlopen(request, timeout=0.3)

    for _ in range(4):
        cluster.inside(leave)
    cluster.until("nothing waits", lambda: cluster.inside(lambda: get("/readyz"))["waiting"] == 0)
    began = time.monotonic()
    assert cluster.inside(lambda: post("/v1/generate", {"labels": [0]}))[0] == 200
    assert time.monotonic() - began < SOON / 6


def test_another_command_leaves_this_one_alone(cluster, served, toy_bundle):
    command = cluster.fdcn("serve", toy_bundle.path, "--ray", "--port", 8001)
    _, errors = command.communicate(timeout=SOON)
    assert (command.returncode, "another fdcn serve --ray" in errors) == (1, True)
    assert cluster.inside(lambda: post("/v1/generate", {"labels": [0]}))[0] == 200


def test_a_broken_bundle_is_said_and_the_old_one_goes_on(cluster, served):
    manifest = served.folder / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text("{")
    served.send_signal(signal.SIGHUP)
    said = next(line for line in served.stderr if "were not taken over" in line)
    assert "manifest.json is damaged" in json.loads(said)["reason"]
    assert cluster.inside(lambda: post("/v1/generate", {"labels": [0]}))[0] == 200
    manifest.write_text(whole)


def test_a_signal_takes_over_a_bundle_and_another_ends_with_the_last_picture(cluster, served):
    before = cluster.inside(lambda: get("/v1/model"))["reads"]
    manifest = served.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"Disc"', '"Coin"'))
    served.send_signal(signal.SIGHUP)
    cluster.until("it is taken over", lambda: cluster.inside(lambda: get("/v1/model"))["reads"] != before)
    for _ in range(4):  # by each of the replicas
        assert cluster.inside(lambda: post("/v1/generate", {"labels": ["Coin"]}))[0] == 200
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        last = pool.submit(cluster.inside, lambda: post("/v1/generate", {"labels": [0], "size": "64x64", **SLOW}))
        cluster.until("it is being made", lambda: cluster.inside(lambda: get("/readyz"))["waiting"] == 1)
        served.send_signal(signal.SIGTERM)
        assert last.result(SOON)[0] == 200
    assert served.wait(SOON) == 0
