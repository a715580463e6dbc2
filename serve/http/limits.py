"""What a request's body may cost: bytes and seconds."""

import asyncio
import contextlib
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fdcn.serve.http.errors import ApiError

LINGER = 2.0
"""Seconds that what is still sent after an answer is read and dropped."""


class BodyLimits:
    """Bounds the bytes and the seconds of request bodies; ASGI.

    `receive` raises ApiError where a body is too large or too slow. A body that nobody read is read and dropped for a
    while after the answer: a connection that is closed at once resets, and the client loses the answer.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self.most, self.seconds)
        await self.app(scope, body.receive, body.send)


class _Body:
    """One request's body on its way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int, seconds: float) -> None:
        self._receive, self._send, self._most, self._seconds = receive, send, most, seconds
        self._until = time.monotonic() + seconds
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self._declared = int(length) if length.isdigit() else 0
        self._complete = self._declared == 0 and b"transfer-encoding" not in headers
        self._bytes = 0

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        if self._declared > self._most:
            raise self._too_large()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except asyncio.TimeoutError:
            raise ApiError(408, f"the body did not arrive within {self._seconds:g} s", "request_timeout") from None
        self._note(message)
        if self._bytes > self._most:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        if self._complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send({**message, "headers": [*message.get("headers", []), (b"connection", b"close")]})
        elif message.get("more_body"):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._drop_the_rest()
            await self._send({"type": "http.response.body", "body": b""})

    async def _drop_the_rest(self) -> None:
        async def drop() -> None:
            while not self._complete:
                self._note(await self._receive())

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(drop(), LINGER)

    def _note(self, message: Message) -> None:
        self._bytes += len(message.get("body", b""))
        self._complete = message["type"] == "http.disconnect" or not message.get("more_body")

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the body is larger than {self._most} bytes, which this server takes", "body_too_large")
