"""Server-sent events: a generator's events as they come."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fdcn.serve.generator import Event
from fdcn.serve.http.clients import ClientGone, left, rendered, stop
from fdcn.serve.http.errors import api_error, not_ready
from fdcn.serve.metrics import Metrics

HEARTBEAT = 15.0
"""Seconds of silence before a comment is sent: proxies close what is silent."""
GRACE = 1.0
"""Seconds that the first event is waited for before the status is sent: an error until then has its own."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def sse(event: str, data: Any) -> bytes:
    """One event as text."""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


async def event_stream(
    events: AsyncGenerator[Event, None], receive: Receive, render: Callable[[Event], bytes]
) -> Response:
    """The answer that streams a generator's events, each as `render` writes it.

    Raises what the generator raises at once, and ClientGone.
    """
    first = asyncio.ensure_future(_next(events))
    gone = asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait((first, gone), timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            first.result()
        elif gone.done():
            raise ClientGone
    except BaseException:
        await stop(events, first, gone)
        raise
    return _EventStream(events, first, gone, render)


class _EventStream(Response):
    """Sends events until there are no more, or nobody to read them."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        first: "asyncio.Future[Event | None]",
        gone: "asyncio.Future[None]",
        render: Callable[[Event], bytes],
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events, self._next, self._gone, self._render = events, first, gone, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for text in self._texts(scope["app"].state.metrics):
                await send({"type": "http.response.body", "body": text, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:  # the server ends, and waits no longer
            await stop(self._events, self._next, self._gone)
            await send({"type": "http.response.body", "body": sse("error", not_ready().body())})
        finally:
            await stop(self._events, self._next, self._gone)

    async def _texts(self, metrics: Metrics) -> AsyncIterator[bytes]:
        while True:
            await asyncio.wait((self._next, self._gone), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.done():
                return
            if not self._next.done():
                yield b": still here\n\n"
                continue
            try:
                event = self._next.result()
                if event is None:
                    return
                text = await rendered(self._render, event)
            except Exception as error:  # noqa: BLE001 - the client is told, and the log what is a bug
                answer = api_error(error)
                metrics.refused(answer.code)
                yield sse("error", answer.body())
                return
            self._next = asyncio.ensure_future(_next(self._events))
            if text:
                yield text


async def _next(events: AsyncGenerator[Event, None]) -> Event | None:
    """The next event, None at the end."""
    return await anext(events, None)
