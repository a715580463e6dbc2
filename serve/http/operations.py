"""What operators and their machines ask: health, readiness, metrics."""

import json

from fastapi import APIRouter
from starlette.responses import Response

from fdcn.serve.generator import Generator
from fdcn.serve.http.errors import not_ready
from fdcn.serve.http.schema import Health, Readiness, Unready
from fdcn.serve.metrics import CONTENT_TYPE, Metrics


def operations_router(generator: Generator, metrics: Metrics) -> APIRouter:
    """GET /healthz, /readyz and /metrics: open to all."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="It runs", response_class=Response, responses={200: {"model": Health}})
    async def healthz() -> Response:
        return Response(Health().model_dump_json(), media_type="application/json")

    @router.get(
        "/readyz",
        summary="It takes requests: warmed up, and not ending",
        response_class=Response,
        responses={200: {"model": Readiness}, 503: {"model": Unready}},
    )
    async def readyz() -> Response:
        if not generator.ready:
            error = not_ready()
            body = {"ready": False, "waiting": generator.waiting, **error.body()}
            return Response(json.dumps(body), error.status, error.headers, "application/json")
        found = generator.describe()
        ready = Readiness(
            ready=True, backend=found.backend, model=found.model, reads=found.reads, waiting=generator.waiting
        )
        return Response(ready.model_dump_json(), media_type="application/json")

    @router.get(
        "/metrics",
        summary="Counters and times, for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def read_metrics() -> Response:
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    return router
