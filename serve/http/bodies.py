"""Bodies of requests: JSON that says one thing, and arrays inside it."""

import base64
import io
import json
import math
from tokenize import TokenError
from typing import Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from fdcn.serve.http.errors import ApiError, field_error

M = TypeVar("M", bound=BaseModel)
NAMES_AT_MOST = 100
"""Names in one object: each unknown one is an error that takes time to say."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


async def read_body(request: Request, model: type[M]) -> M:
    """A request's body as a model. Raises ApiError: 415 where it is not JSON, 400 where it is not what it should be."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        found = repr(kind) if kind else "none"
        raise ApiError(415, f"the content type is {found}; send application/json", "unsupported_media_type")
    try:
        return model.model_validate(parse(await request.body()))
    except ValidationError as error:
        raise _first(error) from None


def parse(body: bytes) -> Any:
    """JSON as RFC 8259 has it, without names that stand twice in one object. Raises ApiError for anything else."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise ApiError(400, "the body is not UTF-8", "invalid_json") from None
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply", "invalid_json") from None
    except ValueError as error:  # a JSONDecodeError, or a number of too many digits
        raise ApiError(400, f"the body is not JSON: {error}", "invalid_json") from None


def read_npy(text: str) -> np.ndarray:
    """An array from the base64 of an .npy file. Raises ApiError where it is none; pickles are never read."""
    try:
        file = io.BytesIO(base64.b64decode(text, validate=True))
        shape, fortran, dtype = HEADERS[npy.read_magic(file)](file)
    except (ValueError, KeyError, SyntaxError, TokenError, MemoryError, RecursionError) as error:
        raise _not_an_array(f"{error}"[:100]) from None
    # Its size is compared before memory is taken: a header of 100 bytes can claim terabytes.
    rest = file.getbuffer()[file.tell() :]
    if dtype.kind not in "fiu" or min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != len(rest):
        raise _not_an_array(f"{dtype} {list(shape)[:8]} in {len(rest)} bytes")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")


def _not_an_array(found: str) -> ApiError:
    return field_error(["noise"], f"not the base64 of an .npy file with numbers ({found})")


def _first(error: ValidationError) -> ApiError:
    """The first field that is wrong, with all that is said about it: a union says something for each of its types."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    path = _path(found[0]["loc"])
    said = [each["msg"].removeprefix("Value error, ") for each in found if _path(each["loc"]) == path]
    return field_error(path, "; or: ".join(dict.fromkeys(said)))


def _path(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where an error is: a field, and perhaps an index in it; what follows is pydantic's name of a type."""
    return location[: 2 if len(location) > 1 and isinstance(location[1], int) else 1]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > NAMES_AT_MOST:
        raise ValueError(f"an object has {len(pairs)} names; no request has more than {NAMES_AT_MOST}")
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:100]!r} stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
