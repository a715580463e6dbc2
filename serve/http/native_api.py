"""The native API: every option of `fdcn run`."""

import base64
import json
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from fdcn.serve.generator import Ask, Encoding, Event, Generator, Preview, Progress, Result
from fdcn.serve.http import documented
from fdcn.serve.http.bodies import read_body, read_npy
from fdcn.serve.http.clients import rendered, result_of
from fdcn.serve.http.errors import ApiError, not_ready
from fdcn.serve.http.schema import GenerateRequest, GenerateResponse, ModelResponse
from fdcn.serve.http.sse import event_stream, sse
from fdcn.serve.logs import request_id
from fdcn.serve.settings import Settings
from fdcn.sizes import parse_size

AS_THEY_ARE = (
    *("labels", "count", "seed", "seeds", "solver", "steps", "last_step"),
    *("guidance", "guidance_channels", "s_max_adjust", "preview_every"),
)
"""Fields that are options of `Pipeline.submit` unchanged."""


def native_router(generator: Generator, settings: Settings) -> APIRouter:
    """POST /v1/generate and GET /v1/model."""
    router = APIRouter(tags=["native"])

    @router.post(
        "/v1/generate",
        summary="Make pictures",
        response_class=Response,
        openapi_extra=documented.body(GenerateRequest),
        responses={
            200: documented.json_or_events(GenerateResponse, documented.NATIVE_EVENTS),
            **documented.errors(*documented.OF_BODIES),
        },
    )
    async def generate(request: Request) -> Response:
        body = await read_body(request, GenerateRequest)
        if not generator.ready:
            raise not_ready()
        ask = _ask(body, settings)
        model, format = generator.describe().model, ask.encoding.format

        def render(event: Event) -> bytes:
            if isinstance(event, Progress):
                return sse("progress", {"done": event.done, "total": event.total})
            if isinstance(event, Preview):
                shown = {"done": event.done, "total": event.total, "first": event.first}
                return sse("preview", {**shown, "images": list(map(_base64, event.pictures))})
            return sse("result", _answer(event, model, format, ask.id))

        events = generator.generate(ask)
        if body.stream:
            return await event_stream(events, request.receive, render)
        result = await result_of(events, request.receive)
        text = await rendered(lambda result: json.dumps(_answer(result, model, format, ask.id)).encode(), result)
        return Response(text, media_type="application/json")

    @router.get(
        "/v1/model",
        summary="What is served",
        response_class=Response,
        responses={200: {"model": ModelResponse}, **documented.errors()},
    )
    async def model() -> Response:
        if not generator.ready:
            raise not_ready()
        answer = ModelResponse.of(generator.describe(), settings.deadline)
        return Response(answer.model_dump_json(), media_type="application/json")

    return router


def _ask(body: GenerateRequest, settings: Settings) -> Ask:
    """A request as generators take it. Raises ApiError for noise that is none, or a deadline beyond the server's."""
    options: dict[str, Any] = {name: getattr(body, name) for name in AS_THEY_ARE if getattr(body, name) is not None}
    if body.size is not None:
        options["size"] = parse_size(body.size)
    if body.guidance_interval is not None:
        options["guidance_interval"] = tuple(body.guidance_interval)
    if body.noise is not None:
        options["noise"] = read_npy(body.noise)
    if body.deadline is not None and body.deadline > settings.deadline:
        message = f"deadline: this server gives up after {settings.deadline:g} s; ask for at most that"
        raise ApiError(400, message, "invalid_value", "deadline")
    return Ask(
        id=request_id.get(),
        options=options,
        seconds=body.deadline or settings.deadline,
        encoding=Encoding(body.output_format, body.output_compression),
        latents=body.latents,
        watched=body.stream,
    )


def _answer(result: Result, model: str, format: str, id: str) -> dict[str, Any]:
    """A `GenerateResponse`, as values of JSON."""
    labels, seeds = result.parameters["labels"], result.parameters["seeds"]
    return {
        "id": id,
        "created": int(time.time()),
        "model": model,
        "output_format": format,
        "images": [
            {"b64_json": _base64(picture), "label": label, "seed": seed}
            for picture, label, seed in zip(result.pictures, labels, seeds, strict=True)
        ],
        "parameters": result.parameters,
        "notes": result.notes,
        "latents": None if result.latents is None else _base64(result.latents),
        "timing": {
            "queued_ms": round(result.queued * 1000, 3),
            "sampling_ms": round(result.sampling * 1000, 3),
            "batch": result.batch,
        },
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
