"""The OpenAPI schema and its page."""

import re
from html.parser import HTMLParser

import pytest
from raw_http import httpx


class Links(HTMLParser):
    """Ids and links of a page, and whether every element that was opened was closed."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.open = set(), set(), []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found["id"]} if "id" in found else set()
        self.links |= {found[name] for name in ("href", "src") if name in found}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def client(serving, toy_bundle):
    with serving(toy_bundle) as served, httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


def test_the_page_needs_nothing_from_elsewhere(client):
    answer = client.get("/docs")
    page = Links()
    page.feed(answer.text)
    assert page.open == []
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= page.ids
    assert page.links - {f"#{link}" for link in inside} == {"openapi.json"}
    assert "<script" not in answer.text
    schema = client.get("/openapi.json").json()
    assert page.ids == set(schema["components"]["schemas"])
    for path in schema["paths"]:
        assert path in answer.text


def test_the_schema_knows_every_field_and_error(client):
    schema = client.get("/openapi.json").json()
    models = schema["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", client.get("/openapi.json").text)) <= set(models)
    for path, model in (("/v1/generate", "GenerateRequest"), ("/v1/images/generations", "OpenAIRequest")):
        operation = schema["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{model}")
        assert {"200", "400", "401", "408", "413", "415", "429", "500", "503", "504"} <= set(operation["responses"])
        assert {"application/json", "text/event-stream"} == set(operation["responses"]["200"]["content"])
        assert models[model]["additionalProperties"] is False
    options = {"labels", "size", "seed", "solver", "steps", "guidance", "noise", "latents", "preview_every", "stream"}
    assert options <= set(models["GenerateRequest"]["properties"])


def test_the_page_of_the_application_is_served(client):
    first = client.get("/")
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in re.findall(r'(?:src|href)="(page/[^"]+)"', first.text):
        asset = client.get(f"/{name}")
        assert asset.status_code == 200
        assert asset.headers["content-type"].partition(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
