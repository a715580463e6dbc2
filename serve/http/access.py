"""What every request gets: an id, a line in the log, its share in the metrics, headers, and an answer."""

import asyncio
import logging
import re
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fdcn.serve.http.clients import GONE
from fdcn.serve.http.errors import api_error, not_ready
from fdcn.serve.logs import request_id
from fdcn.serve.metrics import Metrics

log = logging.getLogger(__name__)
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
QUIET = ("/healthz", "/readyz", "/metrics")
"""Paths that are asked every few seconds: they are not logged while all is well."""


class Access:
    """The outermost layer of the application; ASGI."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, id, status = time.monotonic(), _id(scope), GONE
        token = request_id.set(id)

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        method = scope["method"]
        if method == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}
        try:
            await self.app(scope, receive, send_noted)
        except asyncio.CancelledError:
            if status != GONE:
                raise
            await not_ready().response()(scope, receive, send_noted)  # the server ends, and waits no longer
        except Exception as error:
            if status != GONE:
                raise  # half an answer was sent: the server closes the connection
            await api_error(error).response()(scope, receive, send_noted)
        finally:
            self._note(scope, method, status, time.monotonic() - begun)
            request_id.reset(token)

    def _note(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self.metrics.request(method if method in METHODS else "other", route, status, seconds)
        if route in QUIET and status < 400:
            return
        client = scope.get("client")
        fields = {
            "method": method[:20],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(seconds * 1000, 3),
            "client": client[0] if client else None,
        }
        log.info("%s %s %d", fields["method"], fields["path"], status, extra={"fields": fields})


def _id(scope: Scope) -> str:
    """The caller's id for the request where it has a sane one, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_ID.fullmatch(text := value.decode("latin-1")):
            return text
    return secrets.token_hex(8)
