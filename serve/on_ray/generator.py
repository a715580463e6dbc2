"""Pictures from the replicas of a Ray Serve deployment."""

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

from ray.exceptions import ObjectLostError, RayActorError, RayError, WorkerCrashedError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
)
from ray.serve.handle import DeploymentHandle

from fdcn.runtime.tables import EVERY_CLASS_UP_TO
from fdcn.serve.generator import Ask, Busy, Description, Event, NotReady, Result, TooLate
from fdcn.serve.metrics import Metrics

log = logging.getLogger(__name__)
DIED = (RayActorError, ObjectLostError, WorkerCrashedError, ReplicaUnavailableError)
"""What is raised where a replica was lost with a request. The same seeds give the same pictures: another may try."""
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds before each further try, the last of them again and again until the deadline."""
LOOKS = 5.0
"""Seconds after which it is asked again what the replicas serve."""
RELOAD = 600.0
"""Seconds that all replicas together have to load a bundle."""


class RayGenerator:
    """A `Generator` that hands requests to replicas, and to another one where a replica dies."""

    def __init__(self, replicas: DeploymentHandle[Any], metrics: Metrics) -> None:
        """`replicas` is of `processes.Replica`."""
        self._replicas, self._metrics = replicas, metrics
        self._streaming: Any = replicas.options(stream=True)
        self._described: Description | None = None
        self._looking: asyncio.Task[None] | None = None
        self._closing = False
        self._waiting = 0
        self._idle = asyncio.Event()

    async def start(self) -> None:
        await self._described_anew()
        self._looking = asyncio.create_task(self._look())

    @property
    def ready(self) -> bool:
        return self._described is not None and not self._closing

    @property
    def waiting(self) -> int:
        return self._waiting

    def describe(self) -> Description:
        if self._described is None:
            raise NotReady
        return self._described

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        if not self.ready:
            raise NotReady
        images = self._images(ask)
        self._waiting += images
        try:
            async with contextlib.aclosing(self._tried(ask)) as events:
                async for event in events:
                    if isinstance(event, Result):
                        self._metrics.made(event)
                    yield event
        finally:
            self._waiting -= images
            if not self._waiting:
                self._idle.set()

    async def reload(self) -> Description:
        answers = await self._replicas.broadcast("reload").results_async(timeout_s=RELOAD, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, DIED):  # who takes its place loads the new one
                raise answer
        return await self._described_anew()

    async def close(self) -> None:
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
        while self._waiting:
            self._idle.clear()
            await self._idle.wait()

    async def _tried(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Events of a request, from the beginning again where its replica died on the way."""
        until = time.monotonic() + ask.seconds
        for attempt in itertools.count():
            try:
                async with contextlib.aclosing(self._once(ask, until)) as events:
                    async for event in events:
                        yield event
                return
            except (*DIED, NotReady) as error:
                lost = {"request_id": ask.id, "attempt": attempt + 1, "reason": type(error).__name__}
                log.warning("a replica was lost; trying another", extra={"fields": lost})
            await asyncio.sleep(min(PAUSES[min(attempt, len(PAUSES) - 1)], _left(until)))

    async def _once(self, ask: Ask, until: float) -> AsyncGenerator[Event, None]:
        """Events of a request from one replica. Raises what the replica answered instead of pictures."""
        ask = dataclasses.replace(ask, seconds=_left(until))
        response = self._streaming.generate.remote(ask)
        ended = False
        try:
            while not ended:
                event = await asyncio.wait_for(anext(response), _left(until))
                if isinstance(event, Exception):
                    raise event
                ended = isinstance(event, Result)
                yield event
        except BackPressureError as error:
            raise Busy(1) from error
        except DeploymentUnavailableError as error:
            raise NotReady from error
        except asyncio.TimeoutError:
            raise TooLate from None
        finally:
            if not ended:
                with contextlib.suppress(RayError, RayServeException):  # why it never came to a replica, once more
                    response.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOKS)
            with contextlib.suppress(RayError, RayServeException):  # as while none is there
                await self._described_anew()

    async def _described_anew(self) -> Description:
        self._described = await self._replicas.describe.remote()
        return self._described

    def _images(self, ask: Ask) -> int:
        """How many pictures a request is about, before a replica has looked at it."""
        noise, labels = ask.options.get("noise"), ask.options.get("labels")
        if noise is not None:
            return int(noise.shape[0]) if noise.ndim else 1
        classes = self.describe().classes
        every = classes if classes <= EVERY_CLASS_UP_TO else 1
        return (every if labels is None else len(labels)) * ask.options.get("count", 1)


def _left(until: float) -> float:
    """Seconds until a time of the monotonic clock. Raises TooLate where it has passed."""
    left = until - time.monotonic()
    if left <= 0:
        raise TooLate
    return left
