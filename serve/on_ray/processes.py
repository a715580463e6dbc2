"""The processes of the HTTP application on Ray Serve: replicas that make pictures, and the ingress before them."""

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any

from fastapi import FastAPI
from ray import serve

from fdcn.errors import FdcnError
from fdcn.serve import logs
from fdcn.serve.generator import Ask, Busy, Description, Event, NotReady, TooLate
from fdcn.serve.http.app import create_app
from fdcn.serve.local import LocalGenerator
from fdcn.serve.metrics import Metrics
from fdcn.serve.on_ray.generator import RayGenerator
from fdcn.serve.settings import Settings

INGRESS, REPLICAS = "fdcn", "fdcn-replicas"
"""Ray Serve's names of the two applications: the first goes before the second at the end."""


class Replica:
    """A `LocalGenerator` in a process of its own."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Ray Serve awaits it
        logs.configure()
        self._generator = LocalGenerator(settings, Metrics())
        await self._generator.start()

    async def generate(self, ask: Ask) -> AsyncGenerator[Event | Exception, None]:
        """Events of a request, and instead of the last one an answer that is an exception."""
        logs.request_id.set(ask.id)
        try:
            async with contextlib.aclosing(self._generator.generate(ask)) as events:
                async for event in events:
                    yield event
        except (FdcnError, Busy, TooLate, NotReady) as answer:
            yield answer  # raised here, it would be a failure to Ray, with a traceback in its logs

    async def describe(self) -> Description:
        """What is served here."""
        return self._generator.describe()

    async def reload(self) -> Description | FdcnError:
        """Take over what now lies at the bundle's path, or return why that cannot be."""
        try:
            return await self._generator.reload()
        except FdcnError as error:
            return error

    async def check_health(self) -> None:
        """Raise where this replica is to be replaced."""
        if not self._generator.ready:
            raise RuntimeError("the generator has ended")


class Ingress:
    """The process of the HTTP application."""

    def __init__(self, settings: Settings) -> None:
        logs.configure()
        self._settings = settings

    async def drain(self) -> None:
        """Refuse what comes, and wait for what was accepted."""
        await _generator(self._settings).close()

    async def reload(self) -> Description | FdcnError:
        """Take over the keys that there are now, and let the replicas take over what lies at the bundle's path.

        Returns why one of them, or the keys, could not be taken over.
        """
        try:
            keys = _app(self._settings).state.keys
            if keys is not None:
                keys.read()
            return await _generator(self._settings).reload()
        except FdcnError as error:
            return error


@functools.cache
def _generator(settings: Settings) -> RayGenerator:
    """The ingress's, one a process: its application and `Ingress.drain` mean the same."""
    return RayGenerator(serve.get_deployment_handle(Replica.__name__, REPLICAS), _metrics())


@functools.cache
def _app(settings: Settings) -> FastAPI:
    return create_app(_generator(settings), settings, _metrics())


@functools.cache
def _metrics() -> Metrics:
    return Metrics()


def application(settings: Settings) -> Callable[..., Any]:
    """The HTTP application, whose generator begins when the process does."""
    app, generator = _app(settings), _generator(settings)

    async def answer(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        await generator.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return answer
