"""Every answer that is no result: its status, its shape, its headers."""

import asyncio
import json
import logging

import pytest
from raw_http import error, httpx

from fdcn.runtime import memory
from fdcn.serve.http.app import create_app
from fdcn.serve.settings import Settings


@pytest.fixture(scope="module")
def served(serving, toy_bundle):
    with serving(toy_bundle, max_size=(300, 300), max_images=4) as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


def test_too_little_memory_is_the_servers_own_matter(client, monkeypatch):
    """What it grants but has no memory for: clients try again, perhaps another replica."""
    request = {"labels": [0], "size": "300x300", "steps": 1, "solver": "euler"}
    with monkeypatch.context() as patch:
        patch.setattr(memory, "available_bytes", lambda: 1000)
        answer = client.post("/v1/generate", json=request)
    assert (answer.status_code, error(answer.content)["code"]) == (503, "out_of_memory")
    assert int(answer.headers["retry-after"]) > 0
    assert client.post("/v1/generate", json=request).status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"labels": ["Disk"]}, "labels", "Disc"),
        ({"labels": [3]}, "labels", "3"),
        ({"labels": []}, "labels", "at least 1"),
        ({"labels": [True]}, "labels", "labels.0"),
        ({"labels": "Disc"}, "labels", "list"),
        ({"count": 0}, "count", "1"),
        ({"count": 2}, "count", "6 pictures"),
        ({"count": 10**9 - 1}, "count", "pictures"),
        ({"count": 10**4298}, "count", "less than"),
        ({"labels": [10**4298]}, "labels", "less than"),
        ({"seeds": [10**4298]}, "seeds", "3"),
        ({"count": "1"}, "count", "integer"),
        ({"size": "8"}, "size", "WIDTHxHEIGHT"),
        ({"size": "0x8"}, "size", "1"),
        ({"size": "301x300"}, "size", "300x300"),
        ({"size": [8, 8]}, "size", "string"),
        ({"seeds": [1]}, "seeds", "3"),
        ({"seed": 1.5}, "seed", "integer"),
        ({"solver": "eular"}, "solver", "euler"),
        ({"solver": "euler"}, "solver", "steps"),
        ({"steps": 0}, "steps", "1"),
        ({"guidance": "2"}, "guidance", "number"),
        ({"guidance_interval": [0.5]}, "guidance_interval", "2"),
        ({"guidance_channels": "4"}, "guidance_channels", "all"),
        ({"output_format": "gif"}, "output_format", "png"),
        ({"output_compression": 101}, "output_compression", "100"),
        ({"noise": "!"}, "noise", "npy"),
        ({"deadline": 1e6}, "deadline", "60 s"),
        ({"bundle": "/etc/passwd"}, "bundle", "not permitted"),
    ],
)
def test_wrong_fields_are_named(client, body, param, words):
    answer = client.post("/v1/generate", json=body)
    found = error(answer.content)
    assert answer.status_code == 400
    assert found["type"] == "invalid_request_error"
    assert found["param"] == param
    assert words in found["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nothing",
        b"[]",
        b'"x"',
        b"null",
        b'{"seed": NaN}',
        b'{"guidance": Infinity}',
        b'{"guidance": 1e999}',
        b'{"seed": 1, "seed": 2}',
        b'{"labels": ["\xff"]}',
        b'{"labels": ["\\ud800"]}',
        b'\xef\xbb\xbf{"seed": 1}',
        b"{" + b",".join(b'"%d": 0' % i for i in range(1000)) + b"}",
        b'{"seed": ' + b"9" * 5000 + b"}",
        b'{"labels": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ],
    ids=lambda content: repr(content[:20]),
)
@pytest.mark.parametrize("path", ["/v1/generate", "/v1/images/generations"])
def test_what_is_no_json_object_is_refused(client, path, content):
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert error(answer.content)["type"] == "invalid_request_error"


def test_answers_do_not_grow_with_what_was_sent(client):
    answer = client.post("/v1/generate", json={"x" * 10**6: 0})
    assert answer.status_code == 400
    assert len(answer.content) < 1000


@pytest.mark.parametrize("kind", [None, "text/plain", "multipart/form-data; boundary=x", "application/jsonx", "x"])
def test_other_content_types_are_refused(client, kind):
    answer = client.post("/v1/generate", content=b"{}", headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 415
    assert error(answer.content)["code"] == "unsupported_media_type"


def test_a_charset_beside_the_content_type_is_fine(client):
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/generate", content=b'{"labels": [0]}', headers=kind).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/page/", 404),
        ("GET", "/page/..%2fapp.py", 404),
        ("GET", "/page/%2e%2e/app.py", 404),
        ("GET", "//etc/passwd", 404),
        ("GET", "/v1/generate/", 404),
        ("GET", "/v1/generate", 405),
        ("DELETE", "/v1/images/generations", 405),
        ("OPTIONS", "/v1/generate", 405),
        ("POST", "/healthz", 405),
        ("BREW", "/v1/generate", 400),
    ],
)
def test_paths_and_methods_that_are_not_there(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    error(answer.content)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/docs", "/metrics", "/nothing"])
def test_head_is_get_without_a_body(client, path):
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_ids_of_requests_are_kept_where_they_are_sane(client):
    def sent(id):
        return client.get("/healthz", headers={"X-Request-ID": id}).headers["x-request-id"]

    assert sent("a-1_B:c.2") == "a-1_B:c.2"
    drawn = {sent(id) for id in ("", "a b", "x" * 101, 'a"b', "é".encode())}
    assert len(drawn) == 5
    assert all(len(id) == 16 for id in drawn)
    assert client.get("/nothing").headers["x-request-id"]


def test_every_answer_says_what_browsers_must_not_do(client):
    for path in ("/", "/docs", "/healthz", "/nothing", "/v1/model"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "server" not in headers


def test_requests_are_logged_and_counted(client, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("fdcn"), "propagate", True)
    with caplog.at_level("INFO", "fdcn.serve.http.access"):
        client.get("/v1/models/other", headers={"X-Request-ID": "this-one"})
        client.get("/a" * 200)
        client.get("/healthz")
    (known, unknown) = [record.fields for record in caplog.records if record.name == "fdcn.serve.http.access"]
    assert (known["method"], known["path"], known["status"]) == ("GET", "/v1/models/other", 404)
    assert known["ms"] > 0
    assert unknown["path"] == "/a" * 100
    counted = client.get("/metrics").text
    assert 'fdcn_requests_total{method="GET",route="/v1/models/{model}",status="404"}' in counted
    assert 'fdcn_requests_total{method="GET",route="unknown",status="404"}' in counted
    assert "/a/a" not in counted


def test_only_allowed_origins_are_told_so(client, served, serving, toy_bundle):
    asked = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    assert "access-control-allow-origin" not in client.post("/v1/generate", json={"labels": [0]}, headers=asked).headers
    with serving(toy_bundle, cors_origins=("https://a.example",)) as allowing, httpx.Client() as other:
        preflight = other.options(f"{allowing.url}/v1/generate", headers=asked)
        wrong = other.post(f"{allowing.url}/v1/generate", content=b"{", headers=asked)
        stranger = other.options(f"{allowing.url}/v1/generate", headers=asked | {"Origin": "https://b.example"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert wrong.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in stranger.headers


class Broken:
    """A generator with a defect."""

    ready, waiting = True, 0

    def describe(self):
        raise RuntimeError("secret inner matters")


def test_defects_are_logged_and_not_shown(tmp_path, caplog, monkeypatch):
    app = create_app(Broken(), Settings(tmp_path))

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.get("/v1/model", headers={"X-Request-ID": "it"})

    monkeypatch.setattr(logging.getLogger("fdcn"), "propagate", True)
    with caplog.at_level("INFO", "fdcn"):
        answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "it"
    assert error(answer.content)["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "secret inner matters" in caplog.text


class Starting:
    """A generator that has not begun."""

    ready, waiting = False, 0


def test_before_it_is_ready_it_says_so(tmp_path):
    app = create_app(Starting(), Settings(tmp_path))

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            for path in ("/v1/model", "/v1/models", "/v1/models/x"):
                answer = await client.get(path)
                assert (answer.status_code, error(answer.content)["code"]) == (503, "not_ready")
                assert int(answer.headers["retry-after"]) > 0
            for path, body in (("/v1/generate", {}), ("/v1/images/generations", {"prompt": "Disc"})):
                answer = await client.post(path, json=body)
                assert (answer.status_code, error(answer.content)["code"]) == (503, "not_ready")
            assert (await client.get("/healthz")).status_code == 200
            return await client.get("/readyz")

    answer = asyncio.run(ask())
    assert answer.status_code == 503
    assert json.loads(answer.content)["ready"] is False
