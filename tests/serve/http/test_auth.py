"""API keys: what they guard, and how they are compared."""

import hmac

import pytest
from raw_http import error, httpx

from fdcn.errors import FdcnError
from fdcn.serve.http import auth

KEYS = "\ufeff# for tests\n\nfirst-key\n  second-key  \nschlüssel\n"


@pytest.fixture(scope="module")
def served(serving, toy_bundle, tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(KEYS, "utf-8")
    with serving(toy_bundle, api_key_file=file) as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("key", ["first-key", "second-key"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_known_keys_are_served(client, key, scheme):
    headers = {"Authorization": f"{scheme} {key}"}
    assert client.get("/v1/model", headers=headers).status_code == 200
    assert client.post("/v1/generate", json={"labels": [0]}, headers=headers).status_code == 200


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_key_beyond_ascii_is_known_as_any_client_writes_it(client, encoding):
    headers = {"Authorization": "Bearer schlüssel".encode(encoding)}
    assert client.get("/v1/model", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "Bearer", "first-key", "Basic first-key", "Bearer first-ke", "Bearer first-keys"),
        *("Bearer FIRST-KEY", "Bearer # for tests", "Bearer first-key second-key", "Bearer " + "x" * 10_000),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/model"),
        ("GET", "/v1/models"),
        ("GET", "/v1/nothing"),
        ("POST", "/v1/generate"),
        ("POST", "/v1/images/generations"),
    ],
)
def test_all_else_is_refused(client, method, path, value):
    answer = client.request(method, path, json={}, headers={} if value is None else {"Authorization": value})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert error(answer.content)["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["//v1/model", "/%761/model", "/V1/model", "/page/../v1/model", "/v1//model"])
def test_no_other_way_of_writing_a_path_goes_round(client, path):
    assert client.get(path).status_code in (401, 404)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_the_page_and_what_machines_ask_is_open(client, path):
    assert client.get(path).status_code == 200


def test_the_schema_says_that_keys_are_wanted(client):
    schema = client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert schema["paths"]["/v1/generate"]["post"]["security"]
    assert "security" not in schema["paths"]["/healthz"]["get"]


def test_every_key_is_compared_in_constant_time(monkeypatch, tmp_path):
    file = tmp_path / "keys"
    file.write_text(KEYS, "utf-8")
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    keys = auth.Keys(file)
    for key in ("first-key", "x", ""):
        keys.known(key)
    assert compared == [(32, 32)] * 9


def test_files_without_keys_are_refused(tmp_path):
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("# nothing\n\n")
    binary.write_bytes(b"\xff\xfe")
    for file in (empty, binary, tmp_path / "missing", tmp_path):
        with pytest.raises(FdcnError, match=str(file)):
            auth.Keys(file)
