"""The HTTP application: the same for one process and for many machines."""

from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from fdcn import __version__
from fdcn.errors import FdcnError
from fdcn.serve.generator import Busy, Generator, NotReady, TooLate
from fdcn.serve.http import documented, errors
from fdcn.serve.http.access import Access
from fdcn.serve.http.assets import page_router
from fdcn.serve.http.auth import Authentication, Keys
from fdcn.serve.http.clients import GONE, ClientGone
from fdcn.serve.http.docs import docs_router
from fdcn.serve.http.limits import BodyLimits
from fdcn.serve.http.native_api import native_router
from fdcn.serve.http.openai_api import openai_router
from fdcn.serve.http.operations import operations_router
from fdcn.serve.metrics import Metrics
from fdcn.serve.settings import Settings

DESCRIPTION = "Pictures of a FlowDCN model's classes, at any size."


def create_app(generator: Generator, settings: Settings, metrics: Metrics | None = None) -> FastAPI:
    """The application over a generator, which the caller starts and closes. Its `state.keys` may be read anew.

    Raises FdcnError where the file of keys cannot be read.
    """
    if metrics is None:
        metrics = Metrics()
    keys = None if settings.api_key_file is None else Keys(settings.api_key_file)
    app = _App(
        keys is not None,
        title="fdcn",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=_middleware(settings, metrics, keys),
        exception_handlers={
            HTTPException: errors.answer_http_error,
            ClientGone: _answer_nobody,
            ClientDisconnect: _answer_nobody,
            **dict.fromkeys((errors.ApiError, FdcnError, Busy, TooLate, NotReady), errors.answer_api_error),
        },
    )
    app.state.metrics, app.state.keys = metrics, keys
    metrics.watch(generator)
    app.include_router(native_router(generator, settings))
    app.include_router(openai_router(generator, settings))
    app.include_router(operations_router(generator, metrics))
    app.include_router(docs_router(app.openapi))
    app.include_router(page_router())
    return app


class _App(FastAPI):
    """FastAPI with the schemas of bodies that routes read themselves."""

    def __init__(self, keyed: bool, **options: Any) -> None:
        super().__init__(**options)
        self._keyed = keyed

    def openapi(self) -> dict[str, Any]:
        return documented.openapi(self, self._keyed)


def _middleware(settings: Settings, metrics: Metrics, keys: Keys | None) -> list[Middleware]:
    """The layers, from the outside."""
    layers = [
        Middleware(Access, metrics=metrics),
        Middleware(BodyLimits, most=settings.max_body, seconds=settings.body_seconds),
    ]
    if settings.cors_origins:
        # Outside of the keys: a browser asks beforehand without one, and reads errors only with these headers.
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],  # the openai package of JavaScript has a dozen of its own
                expose_headers=["Retry-After", "X-Request-ID"],
            )
        )
    if keys is not None:
        layers.append(Middleware(Authentication, keys=keys))
    return layers


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """For the log alone: the client has gone."""
    return Response(status_code=GONE)
