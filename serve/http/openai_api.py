"""OpenAI's images API over a class-conditional model: the prompt is a class."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from fdcn.errors import FdcnError
from fdcn.serve.generator import Ask, Description, Encoding, Event, Generator, Preview, Result
from fdcn.serve.http import documented
from fdcn.serve.http.bodies import read_body
from fdcn.serve.http.clients import rendered, result_of
from fdcn.serve.http.errors import ApiError, api_error, field_error, not_ready
from fdcn.serve.http.schema import OpenAIModel, OpenAIModels, OpenAIRequest, OpenAIResponse
from fdcn.serve.http.sse import event_stream, sse
from fdcn.serve.logs import request_id
from fdcn.serve.settings import Settings
from fdcn.sizes import format_size, parse_size

PARAMS = {"labels": "prompt", "count": "n"}
"""OpenAI's names of fields."""
SEED_BITS = 53
"""Of a seed that is drawn: JavaScript reads it exactly."""
NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


def openai_router(generator: Generator, settings: Settings) -> APIRouter:
    """POST /v1/images/generations, GET /v1/models and /v1/models/{id}."""
    router = APIRouter(tags=["OpenAI"])
    begun = int(time.time())

    @router.post(
        "/v1/images/generations",
        summary="Make pictures, as OpenAI's API does",
        response_class=Response,
        openapi_extra=documented.body(OpenAIRequest),
        responses={
            200: documented.json_or_events(OpenAIResponse, documented.OPENAI_EVENTS),
            **documented.errors(404, *documented.OF_BODIES),
        },
    )
    async def generations(request: Request) -> Response:
        body = await read_body(request, OpenAIRequest)
        description = _ready(generator)
        if body.model:
            _check_model(body.model, description)
        ask = _ask(body, description, settings)
        events = generator.generate(ask)
        try:
            if body.stream:
                size = ask.options.get("size") or description.fixed_size or description.train_size
                return await event_stream(events, request.receive, _renderer(body, format_size(size)))
            result = await result_of(events, request.receive)
        except FdcnError as error:
            raise api_error(error, PARAMS) from None
        text = await rendered(lambda result: json.dumps(_answer(result, body)).encode(), result)
        return Response(text, media_type="application/json")

    @router.get(
        "/v1/models",
        summary="The model that is served, in OpenAI's list",
        response_class=Response,
        responses={200: {"model": OpenAIModels}, **documented.errors()},
    )
    async def models() -> Response:
        listed = OpenAIModels(data=[OpenAIModel(id=_ready(generator).model, created=begun)])
        return Response(listed.model_dump_json(), media_type="application/json")

    @router.get(
        "/v1/models/{model}",
        summary="The model that is served",
        response_class=Response,
        responses={200: {"model": OpenAIModel}, **documented.errors(404)},
    )
    async def model(model: str) -> Response:
        _check_model(model, _ready(generator))
        return Response(OpenAIModel(id=model, created=begun).model_dump_json(), media_type="application/json")

    return router


def _ready(generator: Generator) -> Description:
    if not generator.ready:
        raise not_ready()
    return generator.describe()


def _check_model(name: str, description: Description) -> None:
    if name != description.model:
        message = f"there is no model {name!r} here; this server has {description.model!r}"
        raise ApiError(404, message, "model_not_found", "model")


def _ask(body: OpenAIRequest, description: Description, settings: Settings) -> Ask:
    """A request as generators take it. Raises ApiError for a size that is none, or several pictures in a stream."""
    seed = secrets.randbits(SEED_BITS) if body.seed is None else body.seed
    options: dict[str, Any] = {"labels": [body.prompt.strip()], "count": body.n or 1, "seed": seed}
    options |= {
        name: getattr(body, name) for name in ("solver", "steps", "guidance") if getattr(body, name) is not None
    }
    if body.size not in (None, "auto"):
        options["size"] = parse_size(body.size)
    if body.stream:
        if (body.n or 1) > 1:
            raise field_error(["n"], "a stream has one picture; ask for them without `stream`, or one by one")
        if body.partial_images:
            steps = body.steps or description.steps
            options["preview_every"] = max(1, steps // (body.partial_images + 1))
    return Ask(
        id=request_id.get(),
        options=options,
        seconds=settings.deadline,
        encoding=Encoding(body.output_format or "png", body.output_compression),
        watched=bool(body.stream),
    )


def _answer(result: Result, body: OpenAIRequest) -> dict[str, Any]:
    """An `OpenAIResponse`, as values of JSON."""
    format = body.output_format or "png"
    labels, seeds = result.parameters["labels"], result.parameters["seeds"]
    data: list[dict[str, Any]] = []
    for picture, label, seed in zip(result.pictures, labels, seeds, strict=True):
        text = base64.b64encode(picture).decode("ascii")
        shown = {"url": f"data:image/{format};base64,{text}"} if body.response_format == "url" else {"b64_json": text}
        data.append({**shown, "revised_prompt": label, "seed": seed})
    size = format_size(result.parameters["size"])
    return {"created": int(time.time()), "background": "opaque", "output_format": format, "size": size, "data": data}


def _renderer(body: OpenAIRequest, size: str) -> Callable[[Event], bytes]:
    """Writes events as OpenAI does: at most as many partial images as were asked for, and the completed one."""
    format, left = body.output_format or "png", body.partial_images or 0
    shown = 0

    def event(kind: str, picture: bytes, **more: Any) -> bytes:
        name = f"image_generation.{kind}"
        text, created = base64.b64encode(picture).decode("ascii"), int(time.time())
        looks = {"size": size, "quality": "auto", "background": "opaque", "output_format": format}
        return sse(name, {"type": name, "b64_json": text, "created_at": created, **looks, **more})

    def render(found: Event) -> bytes:
        nonlocal shown
        if isinstance(found, Preview) and shown < left:
            shown += 1
            return event("partial_image", found.pictures[0], partial_image_index=shown - 1)
        if isinstance(found, Result):
            return event("completed", found.pictures[0], usage=NO_TOKENS, seed=found.parameters["seeds"][0])
        return b""

    return render
