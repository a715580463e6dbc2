"""HTTP connections that cannot be held by doing nothing: slow heads, endless heads, answers that nobody reads."""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fdcn.serve.http.errors import ApiError
from fdcn.serve.settings import Settings

HEAD_AT_MOST = 64 << 10
"""Bytes of a request's first line and headers, beyond those that came at once with its first byte."""
UNREAD_SECONDS = 30.0
"""Seconds that a client may take nothing of an answer that waits for it."""
UPGRADE = re.compile(rb"(\r\n)u(?=pgrade:)", re.IGNORECASE)
"""Before the offer of another protocol, as Java's client and `curl --http2` make it: the parser would take the body
for that other protocol's."""


class HttpProtocol(HttpToolsProtocol):
    """A connection; see `protocol_for`."""

    head_seconds: float
    """A request's head must arrive within so many seconds."""
    most: int
    """Connections that are served at a time."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._answering: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self.most:
            message = f"this server has {self.most} connections, as many as it takes; try again"
            self._refuse(ApiError(503, message, "too_many_connections", headers={"Retry-After": "1"}))
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_unread_timer()
        if self._answering is not None and not self._answering.response_complete:
            # Of requests that were sent one after the other, uvicorn tells the newest alone.
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_timer is not None:
            self._head_bytes += len(data)
        if self._head_timer is not None or (self.cycle is not None and self.cycle.response_complete):
            head, blank, rest = data.partition(b"\r\n\r\n")
            data = UPGRADE.sub(rb"\1x", head) + blank + rest  # declined: nobody reads a header "xpgrade"
        super().data_received(data)
        if self._head_timer is None:
            if self.cycle is not None and self.cycle.response_complete:
                self._await_head()  # empty lines ended the wait for the next request, and began none
        elif self._head_bytes > HEAD_AT_MOST:
            message = f"the request's head is larger than {HEAD_AT_MOST} bytes"
            self._refuse(ApiError(431, message, "request_header_fields_too_large"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._await_head()

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered like all else."""
        self._refuse(ApiError(400, "this is not HTTP/1.1", "invalid_http"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        super().resume_writing()

    def _await_head(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # the next request's, on a connection whose last one is being answered
            return
        message = f"the request's head did not arrive within {self.head_seconds:g} s"
        self._refuse(ApiError(408, message, "request_timeout"))

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_reader(self, unread: int) -> None:
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._reader_is_slow, unread)

    def _reader_is_slow(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._watch_reader(unread)
        else:
            self.transport.abort()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _refuse(self, error: ApiError) -> None:
        """Answer without the application, and close; amid another answer, close alone."""
        self._stop_head_timer()
        amid = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not amid and not self.pipeline:
            self.transport.write(_message(error))
        self.transport.close()


def protocol_for(settings: Settings) -> type[HttpProtocol]:
    """uvicorn's `http`: connections with a server's limits."""

    class Limited(HttpProtocol):
        head_seconds, most = settings.body_seconds, settings.max_connections

    return Limited


def _message(error: ApiError) -> bytes:
    response = error.response()
    response.headers["connection"] = "close"
    head = [f"HTTP/1.1 {error.status} {error.code}".encode()]
    head += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*head, b"", bytes(response.body)])
