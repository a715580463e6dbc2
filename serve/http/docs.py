"""The OpenAPI page: made from the schema, without scripts, so that it works where there is no network."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { border-bottom: 1px solid; margin-top: 3rem; }
h2 code, h3 code { font-size: 1em; }
table { border-collapse: collapse; width: 100%; }
h2, td { overflow-wrap: anywhere; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; }
"""
POLICY = "default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'; base-uri 'none'"
MODELS = "#/components/schemas/"


def docs_router(schema: Callable[[], dict[str, Any]]) -> APIRouter:
    """GET /docs."""
    router = APIRouter(include_in_schema=False)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

    @router.get("/docs")
    async def docs() -> Response:
        headers = {"Content-Security-Policy": POLICY.format(digest)}
        return Response(page(schema()), headers=headers, media_type="text/html")

    return router


def page(schema: dict[str, Any]) -> str:
    """An OpenAPI schema as HTML."""
    info, models = schema["info"], schema["components"]["schemas"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}: the API</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_words(info['description'])} ",
        'The same as <a href="openapi.json">openapi.json</a>, for programs.</p>',
    ]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            parts += _operation(method, path, operation)
    parts.append("<h2>Objects</h2>")
    for name, model in models.items():
        parts += _model(name, model)
    return "".join([*parts, "</main></body></html>"])


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{_words(operation['summary'])}.</p>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Takes {escape(kind)}: {_type(content['schema'])}</p>"
    rows = []
    for status, response in operation["responses"].items():
        gives = ", ".join(
            f"{escape(kind)}: {_type(content['schema'])}" for kind, content in response.get("content", {}).items()
        )
        rows.append((escape(status), _words(response["description"]), gives))
    yield _table(("Status", "", "Answer"), rows)


def _model(name: str, model: dict[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3><p>{_words(model.get("description", ""))}</p>'
    rows = []
    for field, found in model.get("properties", {}).items():
        about = _words(found.get("description", ""))
        if found.get("default") is not None:
            about += f" Default: <code>{escape(str(found['default']))}</code>."
        needed = " (needed)" if field in model.get("required", []) else ""
        rows.append((f"<code>{escape(field)}</code>{needed}", _type(found), about))
    yield _table(("Field", "Type", ""), rows)


def _type(found: dict[str, Any]) -> str:
    """A type's name in words, with a link where it is one of the objects."""
    if "$ref" in found:
        name = escape(found["$ref"].removeprefix(MODELS))
        return f'<a href="#{name}">{name}</a>'
    if "event" in found.get("properties", {}):
        return f"{_type(found['properties']['event'])} with {_type(found['properties']['data']['contentSchema'])}"
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(map(_type, found["anyOf"])))
    if "enum" in found:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in found["enum"])
    if "const" in found:
        return f"<code>{escape(str(found['const']))}</code>"
    if found.get("type") == "array":
        return f"list of {_type(found.get('items', {}))}"
    return escape(str(found.get("type", "any")))


def _words(text: str) -> str:
    """A sentence of the schema, where `backticks` mean code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"
