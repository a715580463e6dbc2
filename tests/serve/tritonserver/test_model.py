"""A model repository in the real Triton Inference Server, asked by its own client."""

import base64
import contextlib
import http.client
import io
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from fdcn.cli import cli
from fdcn.runtime.pipeline import Pipeline

pytestmark = pytest.mark.large

DEPS = Path(__file__).resolve().parents[3] / "build" / "deps" / "triton"
SOON = 60
"""Seconds after which a test is stuck."""
MAX_BATCH = 8
NEIGHBOURS = 1
"""Levels that a pixel may differ by: other batches, and another NumPy, round differently."""


@pytest.fixture(scope="module")
def client_package():
    """tritonclient's modules, from where they were fetched to."""
    if not (DEPS / "tritonserver").is_file():
        pytest.skip(f"Triton was not tested: {DEPS} is missing; python scripts/fetch_triton.py build/deps/triton")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DEPS / "client")
        yield pytest.importorskip("tritonclient.grpc", reason="Triton was not tested: its client needs grpcio")


@pytest.fixture(scope="module")
def server(client_package, toy_bundle, tmp_path_factory):
    """A server of the toy bundle as `toy`, and as `toy_stream`, which answers by several responses."""
    repository, folder = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("triton")
    for name, *more in (("toy", "--max-delay-ms", "20"), ("toy_stream", "--stream")):
        words = ["package", toy_bundle.path, "--triton", repository, "--name", name, "--max-batch", MAX_BATCH, *more]
        cli.main([str(word) for word in words], standalone_mode=False)
    with Server(client_package, repository, folder) as running:
        yield running


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    with Pipeline(toy_bundle, "onnxruntime") as made:
        yield made


class Server:
    """tritonserver on free ports of the loopback, in explicit mode with all models loaded."""

    def __init__(self, client_package, repository, folder):
        self.package, self.repository, self.log = client_package, repository, folder / "log.txt"
        self.http, self.grpc, metrics = free_ports(3)
        command = [
            DEPS / "tritonserver",
            f"--model-repository={repository}",
            f"--backend-directory={DEPS / 'backends'}",
        ]
        command += [f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")]
        command += [f"--http-port={self.http}", f"--grpc-port={self.grpc}", f"--metrics-port={metrics}"]
        command += ["--model-control-mode=explicit", "--load-model=*"]
        command += ["--exit-timeout-secs=3"]  # it waits so long for a model whose process was killed
        # Triton's segments of shared memory are the machine's: two servers must not meet.
        self.segments = f"fdcn-{os.getpid()}-{self.http}-"
        command += [f"--backend-config=python,shm-region-prefix-name={self.segments}"]
        path = f"{python_environment(folder) / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "LD_LIBRARY_PATH": str(DEPS / "lib")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log)

    def __enter__(self):
        end = time.monotonic() + SOON
        self.client = self.package.InferenceServerClient(f"127.0.0.1:{self.grpc}")
        while True:
            with contextlib.suppress(self.package.InferenceServerException):
                if self.client.is_server_ready():
                    return self
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                pytest.fail(self.log.read_text(errors="replace")[-5000:])
            time.sleep(0.1)

    def __exit__(self, *exception):
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.status = self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for left in Path("/dev/shm").glob(f"{self.segments}*"):  # by a process that was killed
            left.unlink()

    def inputs(self, **tensors):
        """Triton's inputs: of each the rows, as NumPy arrays; of text as lists."""
        made = []
        for name, rows in tensors.items():
            text = name in ("LABEL", "SOLVER", "GUIDANCE_CHANNELS")
            array = np.array([[row] for row in rows], object) if text else np.asarray(rows)
            kind = "BYTES" if text else self.package.np_to_triton_dtype(array.dtype)
            tensor = self.package.InferInput(name, list(array.shape), kind)
            tensor.set_data_from_numpy(array)
            made.append(tensor)
        return made

    def ask(self, model="toy", **tensors):
        """Outputs of one request by name, PIXELS alone where nothing else is asked for."""
        wanted = tensors.pop("outputs", ("PIXELS",))
        requested = [self.package.InferRequestedOutput(name) for name in wanted]
        result = self.client.infer(model, self.inputs(**tensors), outputs=requested, client_timeout=SOON)
        return {name: result.as_numpy(name) for name in wanted}

    def post(self, path, body):
        """Status and body of an HTTP request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=SOON)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def free_ports(count):
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def python_environment(folder):
    """An environment with this one's packages, and the NumPy that this Triton was built for before them.

    Triton's Python backend ignores PYTHONPATH and takes the `python3` that is first on PATH.
    """
    made = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    paths = [DEPS / "numpy", *(Path(path) for path in sys.path if path)]
    own = [path for path in paths if path.is_dir() and not path.is_relative_to(sys.base_prefix)]
    (packages,) = made.glob("lib/python3*/site-packages")
    lines = [f"import site; site.addsitedir({str(path)!r})\n" for path in own]
    (packages / "packages.pth").write_text("".join(lines))
    return made


def row(*values, dtype=np.int32):
    return np.array([values], dtype)


def assert_same(got, want):
    assert got.shape == want.shape
    assert got.dtype == want.dtype == np.uint8
    assert np.abs(got.astype(int) - want).max() <= NEIGHBOURS


def test_pictures_are_those_of_the_pipeline(server, pipe):
    got = server.ask(LABEL=["Ring"], SEED=row(7, dtype=np.uint64))["PIXELS"]
    assert_same(got, pipe(["Ring"], seeds=[7]).pixels)
    options = {
        "SIZE": row(20, 12),
        "SOLVER": ["euler-sde"],
        "STEPS": row(6),
        "LAST_STEP": row(0.04, dtype=np.float64),
        "GUIDANCE": row(2.1, dtype=np.float64),
        "GUIDANCE_INTERVAL": row(0.1, 0.9, dtype=np.float64),
        "S_MAX_ADJUST": row(False, dtype=bool),
    }
    got = server.ask(
        LABEL=["2", "disc"],
        SEED=np.array([[2**64 - 1], [0]], np.uint64),
        **{name: rows * 2 if isinstance(rows, list) else np.repeat(rows, 2, 0) for name, rows in options.items()},
        outputs=("PIXELS", "LATENTS", "PNG", "PARAMETERS"),
    )
    want = pipe(
        [2, 0],
        seeds=[2**64 - 1, 0],
        size=(20, 12),
        solver="euler-sde",
        steps=6,
        last_step=0.04,
        guidance=2.1,
        guidance_interval=(0.1, 0.9),
        s_max_adjust=False,
    )
    assert_same(got["PIXELS"], want.pixels)
    assert np.abs(got["LATENTS"] - want.latents).max() < 1e-4
    for i, (file, parameters) in enumerate(zip(got["PNG"], got["PARAMETERS"], strict=True)):
        picture = Image.open(io.BytesIO(base64.b64decode(file[0])))
        np.testing.assert_array_equal(np.asarray(picture), got["PIXELS"][i, :, :, 0])
        one = want.parameters()
        assert json.loads(parameters[0]) == {**one, "labels": [one["labels"][i]], "seeds": [one["seeds"][i]]}


def test_noise_can_be_given(server, pipe):
    noise = np.random.default_rng(0).standard_normal((2, 1, 8, 16), np.float32)
    got = server.ask(LABEL=["0", "1"], NOISE=noise)["PIXELS"]
    assert_same(got, pipe([0, 1], noise=noise).pixels)


def test_requests_that_come_together_are_batched(server, pipe):
    sizes = [(8, 8), (12, 8)]
    asked = [(i % 3, i, sizes[i % 4 == 3]) for i in range(16)]
    before = server.client.get_inference_statistics("toy").model_stats[0].execution_count
    done = queue.Queue()
    for i, (label, seed, size) in enumerate(asked):
        inputs = server.inputs(LABEL=[str(label)], SEED=row(seed, dtype=np.uint64), SIZE=row(*size))
        server.client.async_infer("toy", inputs, lambda result, error, i=i: done.put((i, result, error)))
    for _ in asked:
        i, result, error = done.get(timeout=SOON)
        assert error is None
        label, seed, size = asked[i]
        assert_same(result.as_numpy("PIXELS"), pipe([label], seeds=[seed], size=size).pixels)
    stats = server.client.get_inference_statistics("toy").model_stats[0]
    assert stats.execution_count - before < len(asked)
    assert max(batch.batch_size for batch in stats.batch_stats) > 1


WRONG = {
    "class": ({"LABEL": ["Rong"]}, "the nearest"),
    "class number": ({"LABEL": ["3"]}, "class"),
    "text": ({"LABEL": [b"\xff\xfe"]}, "UTF-8"),
    "no pixels": ({"SIZE": row(0, 8)}, "0x8"),
    "negative": ({"SIZE": row(-1, 8)}, "-1x8"),
    "too large": ({"SIZE": row(1025, 8)}, "too large"),
    "too many pixels": ({"SIZE": row(2**31 - 1, 2**31 - 1)}, "too large"),
    "solver": ({"SOLVER": ["eul"], "STEPS": row(4)}, "eul"),
    "no steps": ({"SOLVER": ["euler"], "STEPS": row(0)}, "steps"),
    "too many steps": ({"SOLVER": ["euler"], "STEPS": row(251)}, "251 steps"),
    "guidance": ({"GUIDANCE": row(float("nan"), dtype=np.float64)}, "nan"),
    "interval": ({"GUIDANCE_INTERVAL": row(0.9, 0.1, dtype=np.float64)}, "0.9"),
    "noise": ({"NOISE": np.full((1, 1, 8, 8), np.inf, np.float32)}, "noise"),
    "size beside noise": ({"NOISE": np.zeros((1, 1, 8, 8), np.float32), "SIZE": row(64, 8)}, "64x8"),
    "rows": ({"LABEL": ["0", "1"], "SIZE": np.array([[8, 8], [8, 9]], np.int32)}, "rows of SIZE differ"),
    "too many rows": ({"LABEL": ["0"] * (MAX_BATCH + 1)}, "max_batch_size|batch"),
    "not finite": ({"GUIDANCE": row(1e300, dtype=np.float64)}, "guidance|finite|range"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_and_the_server_goes_on(server, pipe, wrong):
    tensors, said = WRONG[wrong]
    with pytest.raises(server.package.InferenceServerException, match=said) as caught:
        server.ask(**{"LABEL": ["0"], **tensors})
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert_same(server.ask(LABEL=["0"])["PIXELS"], pipe([0]).pixels)


def test_one_wrong_request_of_a_batch_fails_alone(server, pipe):
    done = queue.Queue()
    labels = ["0", "no such class", "2", "1"]
    for i, label in enumerate(labels):
        server.client.async_infer(
            "toy", server.inputs(LABEL=[label]), lambda result, error, i=i: done.put((i, result, error))
        )
    for _ in labels:
        i, result, error = done.get(timeout=SOON)
        if i == 1:
            assert error.status() == "StatusCode.INVALID_ARGUMENT"
        else:
            assert_same(result.as_numpy("PIXELS"), pipe([labels[i]]).pixels)


def test_plain_http_gives_a_file(server, pipe):
    status, body = server.post("/v2/models/toy/generate", {"LABEL": "Étoile", "SEED": 5, "SIZE": [16, 8]})
    assert status == 200, body
    picture = Image.open(io.BytesIO(base64.b64decode(json.loads(body)["PNG"])))
    assert_same(np.asarray(picture)[None, :, :, None], pipe(["Étoile"], seeds=[5], size=(16, 8)).pixels)
    status, body = server.post("/v2/models/toy/generate", {"LABEL": "Etoil"})
    assert status == 400
    assert "Étoile" in json.loads(body)["error"]


@pytest.mark.parametrize(("model", "answers"), [("toy", 1), ("toy_stream", 11)])
def test_the_guides_request_is_answered(server, model, answers):
    guide = (server.repository / model / "README.md").read_text()
    path, body = re.search(r"curl localhost:8000(\S+) -d '(.*)'", guide).groups()
    status, text = server.post(path, json.loads(body))
    assert status == 200
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert len(events) == answers
    picture = Image.open(io.BytesIO(base64.b64decode(json.loads(events[-1])["PNG"])))
    assert picture.size == tuple(json.loads(body)["SIZE"])


def test_progress_and_previews_are_streamed(server, pipe):
    shown = []
    want = pipe([1], seeds=[3], preview_every=1, preview=lambda done, first, pixels: shown.append((done, pixels)))
    inputs = server.inputs(LABEL=["1"], SEED=row(3, dtype=np.uint64), PREVIEW_EVERY=row(1))
    with streaming(server) as (ask, responses):
        ask(inputs)
        got = [responses.get(timeout=SOON) for _ in range(10 + len(shown) + 1)]
    assert [error for _, error in got if error] == []
    *told, last = [result for result, _ in got]
    steps = [result.as_numpy("DONE").ravel().tolist() for result in told if result.as_numpy("PIXELS") is None]
    assert steps == [[done] for done in range(1, 11)]
    previews = [result for result in told if result.as_numpy("PIXELS") is not None]
    for result, (done, pixels) in zip(previews, shown, strict=True):
        assert result.as_numpy("DONE").tolist() == [[done]]
        assert result.as_numpy("TOTAL").tolist() == [[10]]
        assert_same(result.as_numpy("PIXELS"), pixels)
    assert_same(last.as_numpy("PIXELS"), want.pixels)


def test_a_stream_ends_with_what_is_wrong(server):
    with streaming(server) as (ask, responses):
        ask(server.inputs(LABEL=["Rong"]))
        result, error = responses.get(timeout=SOON)
    assert result is None
    assert "Ring" in error.message()


def long_request(server):
    """Eight pictures of 256x256 in 250 steps, which would take the toy minutes."""
    steps = {"SOLVER": ["euler"] * 8, "STEPS": np.repeat(row(250), 8, 0)}
    return server.inputs(LABEL=["0"] * 8, SIZE=np.repeat(row(256, 256), 8, 0), **steps)


def test_a_cancelled_request_does_not_hold_up_others(server, pipe):
    call = server.client.async_infer("toy", long_request(server), lambda result, error: None)
    time.sleep(0.5)
    call.cancel()
    assert_same(server.ask(LABEL=["2"])["PIXELS"], pipe([2]).pixels)


def test_a_cancelled_stream_does_not_hold_up_others(server, pipe):
    with streaming(server) as (ask, responses):
        ask(long_request(server))
        assert responses.get(timeout=SOON)[1] is None  # it has begun
        server.client.stop_stream(cancel_requests=True)
    with streaming(server) as (ask, responses):
        ask(server.inputs(LABEL=["2"]))
        got = [responses.get(timeout=SOON) for _ in range(11)]
    assert_same(got[-1][0].as_numpy("PIXELS"), pipe([2]).pixels)


@contextlib.contextmanager
def streaming(server):
    """(ask, responses): a stream of toy_stream, whose responses and errors arrive in a queue."""
    responses = queue.Queue()
    server.client.start_stream(lambda result, error: responses.put((result, error)))
    try:
        yield (lambda inputs: server.client.async_stream_infer("toy_stream", inputs)), responses
    finally:
        server.client.stop_stream()


def test_a_killed_model_comes_back_when_it_is_loaded_again(server, pipe):
    stubs = [each for each in psutil.Process(server.process.pid).children() if "stub" in each.name()]
    (stub,) = [each for each in stubs if "toy_0_0" in " ".join(each.cmdline())]
    stub.kill()
    with pytest.raises(server.package.InferenceServerException):
        server.ask(LABEL=["0"])
    server.client.unload_model("toy")
    server.client.load_model("toy")
    assert_same(server.ask(LABEL=["0"])["PIXELS"], pipe([0]).pixels)


def test_the_configuration_is_what_triton_reads(server, toy_bundle):
    config = server.client.get_model_config("toy").config
    assert config.max_batch_size == MAX_BATCH
    assert config.dynamic_batching.max_queue_delay_microseconds == 20_000
    policy = config.dynamic_batching.default_queue_policy
    assert (policy.max_queue_size, policy.default_timeout_microseconds) == (64, 60_000_000)
    assert not config.model_transaction_policy.decoupled
    assert server.client.get_model_config("toy_stream").config.model_transaction_policy.decoupled
    needed = [tensor.name for tensor in config.input if not tensor.optional]
    assert needed == ["LABEL"]


def test_it_ends_when_it_is_told_to(client_package, toy_bundle, tmp_path):
    words = ["package", toy_bundle.path, "--triton", tmp_path / "repository", "--name", "toy"]
    cli.main([str(word) for word in words], standalone_mode=False)
    with Server(client_package, tmp_path / "repository", tmp_path) as running:
        running.ask(LABEL=["0"])
        children = psutil.Process(running.process.pid).children(recursive=True)
    assert running.status == 0
    psutil.wait_procs(children, SOON)
    assert not any(child.is_running() for child in children)
