"""Errors as HTTP answers: every one is OpenAI's {"error": {"message", "type", "param", "code"}}."""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fdcn.errors import FdcnError, OutOfMemory
from fdcn.serve.generator import Busy, NotReady, Refused, TooLate

log = logging.getLogger("fdcn.serve")

NOT_READY_RETRY = 2
"""Seconds after which to look again at a server that is starting or has a successor."""
MEMORY_RETRY = 10
"""Seconds after which memory may be free again."""
NAME_AT_MOST = 100
"""Characters of a field's name that are said: unknown fields can have any."""


@dataclasses.dataclass(eq=False)
class ApiError(Exception):
    """What a caller is told instead of a result."""

    status: int
    message: str
    code: str
    param: str | None = None
    """The field of the request that is to be changed."""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        if self.status == 401:
            return "authentication_error"
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The HTTP answer."""
        return Response(json.dumps(self.body()), self.status, self.headers, "application/json")


def api_error(error: BaseException, params: Mapping[str, str] | None = None) -> ApiError:
    """The answer for anything that a generator raises; `params` renames fields for another API.

    What is nobody's fault but ours is logged with its traceback, of which the caller sees nothing.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, OutOfMemory):
        return ApiError(503, str(error), "out_of_memory", headers={"Retry-After": str(MEMORY_RETRY)})
    if isinstance(error, FdcnError):
        param = error.param if isinstance(error, Refused) else None
        return ApiError(400, str(error), "invalid_value", (params or {}).get(param or "", param))
    if isinstance(error, Busy):
        wait = str(max(1, error.retry_after))
        message = f"the queue is full; try again in {wait} s"
        return ApiError(429, message, "rate_limit_exceeded", headers={"Retry-After": wait})
    if isinstance(error, TooLate):
        message = "the deadline passed before the pictures were done; ask for fewer, smaller ones or fewer steps"
        return ApiError(504, message, "deadline_exceeded")
    if isinstance(error, NotReady):
        return not_ready()
    log.error("an unexpected error ended a request", exc_info=error)
    return ApiError(500, "an error inside the server; its log has more under this request's id", "internal_error")


def not_ready() -> ApiError:
    """The answer of a server that has not begun, or is about to end."""
    message = "the server is starting or about to end; try again"
    return ApiError(503, message, "not_ready", headers={"Retry-After": str(NOT_READY_RETRY)})


def http_error(error: HTTPException) -> ApiError:
    """The answer for what the router refuses: unknown paths, wrong methods."""
    phrase = HTTPStatus(error.status_code).phrase
    code = "_".join(phrase.lower().split())
    message = {
        404: "there is nothing at this path; /docs lists what there is",
        405: "this path does not take that method; the header Allow says which ones it takes",
    }.get(error.status_code, phrase)
    return ApiError(error.status_code, message, code, headers=error.headers or {})


def field_error(location: Sequence[str | int], message: str) -> ApiError:
    """The answer for a field of a body that is not what the schema says."""
    names = [str(part)[:NAME_AT_MOST] for part in location]
    if not names:
        return ApiError(400, message, "invalid_value")
    return ApiError(400, f"{'.'.join(names)}: {message}", "invalid_value", names[0])


async def answer_api_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler of `ApiError`, and of what generators raise."""
    answer = api_error(error)
    request.app.state.metrics.refused(answer.code)
    return answer.response()


async def answer_http_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler of `HTTPException`."""
    assert isinstance(error, HTTPException)
    return http_error(error).response()
