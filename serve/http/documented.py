"""Parts of the OpenAPI schema: what FastAPI does not know, as routes read bodies themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fdcn.serve.http.schema import (
    ErrorResponse,
    GenerateRequest,
    GenerateResponse,
    OpenAICompleted,
    OpenAIPartialImage,
    OpenAIRequest,
    PreviewEvent,
    ProgressEvent,
)

REFERENCE = "#/components/schemas/{model}"
NATIVE_EVENTS: dict[str, type[BaseModel]] = {
    "progress": ProgressEvent,
    "preview": PreviewEvent,
    "result": GenerateResponse,
    "error": ErrorResponse,
}
OPENAI_EVENTS: dict[str, type[BaseModel]] = {
    "image_generation.partial_image": OpenAIPartialImage,
    "image_generation.completed": OpenAICompleted,
    "error": ErrorResponse,
}
"""What a stream has, by the events' names."""
UNSEEN: tuple[type[BaseModel], ...] = (GenerateRequest, OpenAIRequest, *NATIVE_EVENTS.values(), *OPENAI_EVENTS.values())
"""Models that FastAPI sees in no route."""
ERRORS = {
    400: "The request is not what it should be: `param` names the field",
    401: "No key, or none that is known here",
    404: "There is no such model here",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "The queue is full",
    500: "An error inside the server",
    503: "Starting, about to end, or short of memory",
    504: "The deadline has passed",
}
OF_EVERY_ROUTE = (401, 500, 503)
OF_BODIES = (400, 408, 413, 415, 429, 504)


def body(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads a model with `bodies.read_body`."""
    return {"requestBody": {"content": {"application/json": {"schema": _reference(model)}}, "required": True}}


def json_or_events(model: type[BaseModel], events: dict[str, type[BaseModel]]) -> dict[str, Any]:
    """The success of a route that streams on request; the schema of the stream is that of one event."""
    content = {"text/event-stream": {"schema": {"anyOf": [_event(name, data) for name, data in events.items()]}}}
    return {"model": model, "description": "The pictures; events where `stream` is true", "content": content}


def _event(name: str, data: type[BaseModel]) -> dict[str, Any]:
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": _reference(data)}
    return {
        "type": "object",
        "properties": {"event": {"type": "string", "const": name}, "data": text},
        "required": ["event", "data"],
    }


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def errors(*more: int) -> dict[int | str, dict[str, Any]]:
    """Documented errors of a route: those that every one has, and some more."""
    statuses = sorted({*OF_EVERY_ROUTE, *more})
    return {status: {"model": ErrorResponse, "description": ERRORS[status]} for status in statuses}


def openapi(app: FastAPI, keyed: bool) -> dict[str, Any]:
    """The schema, made on the first call. `keyed` says whether /v1 wants a key."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, definitions = models_json_schema(
            [(model, "validation") for model in dict.fromkeys(UNSEEN)], ref_template=REFERENCE
        )
        components = schema.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **definitions["$defs"]}
        if keyed:
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, operations in schema["paths"].items():
                for operation in operations.values() if path.startswith("/v1/") else ():
                    operation["security"] = [{"key": []}]
        app.openapi_schema = schema
    return app.openapi_schema
