"""Server-sent events, and clients that leave."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from raw_http import STUCK, connect, error, httpx
from waiting import until

from fdcn.runtime.pipeline import Pipeline
from fdcn.serve.http import sse

LONG = {"labels": [0] * 10, "size": "256x256", "solver": "euler", "steps": 250}
"""A request of many seconds."""


@pytest.fixture(scope="module")
def served(serving, toy_bundle):
    with serving(toy_bundle, max_queue=12) as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


def events(client, **body):
    """(name, data) of each event of a stream, as they come."""
    with client.stream("POST", "/v1/generate", json={**body, "stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        name = None
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))
            elif line.startswith(":"):
                yield "comment", line


def refusals(client, reason):
    """How many there were, by the metrics."""
    found = re.search(rf'fdcn_refusals_total{{reason="{reason}"}} (\S+)', client.get("/metrics").text)
    return float(found[1]) if found else 0


@pytest.fixture(autouse=True)
def _idle(served):
    """What a test leaves behind does not hinder the next."""
    yield
    until_idle(served)


def until_idle(served):
    """Wait until nothing is sampled any more."""
    until(lambda: not served.call(waiting(served)), STUCK)


async def waiting(served):
    return served.generator.waiting


def test_progress_previews_and_the_result(client, toy_bundle):
    body = {"labels": ["Ring", "Disc"], "size": "16x8", "solver": "euler", "steps": 30, "seed": 2}
    found = list(events(client, **body, preview_every=5))
    *before, (last, result) = found
    assert last == "result"
    assert {name for name, _ in before} <= {"progress", "preview"}
    done = [data["done"] for name, data in before if name == "progress"]
    assert done == sorted(done)
    assert all(0 <= data["done"] <= data["total"] == 30 for _, data in before)
    previews = [data for name, data in before if name == "preview"]
    assert previews
    for preview in previews:
        shown = [Image.open(io.BytesIO(base64.b64decode(text))).size for text in preview["images"]]
        assert shown == [(16, 8)] * len(shown)
        assert preview["first"] + len(shown) <= 2
    with Pipeline(toy_bundle) as pipe:
        wanted = pipe(["Ring", "Disc"], size=(16, 8), solver="euler", steps=30, seed=2).pixels
    pixels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(image["b64_json"])))) for image in result["images"]]
    assert np.array_equal(np.stack(pixels)[..., None], wanted)


def test_the_result_of_a_stream_is_that_of_an_answer(client):
    body = {"labels": ["Ring"], "seed": 5, "latents": True}
    plain = client.post("/v1/generate", json=body).json()
    ((_, streamed),) = [event for event in events(client, **body) if event[0] == "result"]
    assert set(streamed) == set(plain)
    assert (streamed["images"], streamed["latents"]) == (plain["images"], plain["latents"])


def test_what_is_wrong_at_once_has_its_status(client):
    answer = client.post("/v1/generate", json={"labels": ["Rung"], "stream": True})
    assert answer.status_code == 400
    assert error(answer.content)["param"] == "labels"


def test_what_goes_wrong_later_is_an_event(client):
    before = refusals(client, "deadline_exceeded")
    *_, (name, data) = events(client, **LONG, deadline=1.5)
    assert name == "error"
    assert error(json.dumps(data))["code"] == "deadline_exceeded"
    assert refusals(client, "deadline_exceeded") == before + 1


def test_a_deadline_is_a_status_where_nothing_was_sent(client):
    answer = client.post("/v1/generate", json={**LONG, "deadline": 1})
    assert answer.status_code == 504
    assert error(answer.content)["code"] == "deadline_exceeded"


def test_silence_is_broken(client, monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT", 0.001)
    names = [name for name, _ in events(client, **LONG, deadline=2)]
    assert "comment" in names
    assert names[-1] == "error"


@pytest.mark.parametrize("pipelined", [1, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_client_left_behind_is_not_sampled(served, stream, pipelined):
    body = json.dumps({**LONG, "stream": stream}).encode()
    head = f"POST /v1/generate HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with connect(served.url) as connection:
        connection.sendall((head.encode() + body) * pipelined)
        until(lambda: served.call(waiting(served)), STUCK)
    until_idle(served)


def test_a_client_that_leaves_amid_a_stream_ends_it(client, served):
    for name, _ in events(client, **LONG):
        if name == "progress":
            break
    until_idle(served)


def test_a_full_queue_says_when_to_come_back(client, served):
    begun = events(client, **LONG)
    next(begun)
    for body in ({"labels": [0] * 3}, {"labels": [0] * 3, "stream": True}):
        answer = client.post("/v1/generate", json=body)
        assert answer.status_code == 429
        assert error(answer.content)["type"] == "rate_limit_error"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    begun.close()
    until_idle(served)
    assert client.post("/v1/generate", json={"labels": [0] * 3}).status_code == 200


def test_ended_requests_are_in_the_metrics(client):
    wanted = [
        'fdcn_requests_total{method="POST",route="/v1/generate",status="499"}',
        'fdcn_requests_total{method="POST",route="/v1/generate",status="429"}',
        'reason="rate_limit_exceeded"',
    ]

    def noted():
        text = client.get("/metrics").text
        return all(part in text for part in wanted)

    until(noted, 10)  # a request is noted once its place in the queue is free again
