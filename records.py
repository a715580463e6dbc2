"""Records that are kept as JSON: dataclasses, checked against their types when they are read."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from fdcn.messages import say

NESTING_AT_MOST = 200
"""Lists and objects inside one another."""


class Malformed(Exception):
    """A value is not what a type says; the message names where."""


def read_json(text: str) -> Any:
    """The value of a JSON text.

    Raises ValueError for what is none, and for what not every reader of JSON can hold: numbers beyond float64's range,
    NUL characters, halves of surrogate pairs, and nesting deeper than NESTING_AT_MOST.
    """
    try:
        content = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise ValueError("too deep") from None
    _check_content(content, 1)
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _integer(text: str) -> int:
    _finite(text)
    return int(text)


def _check_content(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if b"\0" in value.encode():  # half a surrogate pair is a ValueError
            raise ValueError("NUL")
    elif isinstance(value, dict | list):
        if depth > NESTING_AT_MOST:
            raise ValueError("too deep")
        for inside in value if isinstance(value, list) else [*value, *value.values()]:
            _check_content(inside, depth + 1)


def parse(kind: Any, value: Any, where: str) -> Any:
    """Check a JSON value against a type (a dataclass, list, dict, union or plain type) and build it.

    Fields with a default may be left out. Raises Malformed, with `where` and the path inside it.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        kinds = [k for k in arguments if (k is type(None)) == (value is None)]
        if not kinds:
            raise Malformed(say("record.missing_value", where=where))
        return None if value is None else parse(kinds[0], value, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise Malformed(say("record.not_an_object", where=where))
        fields = {f.name: f.type for f in dataclasses.fields(kind)}
        # What has a default came later: manifests written before it lack it.
        missing = dataclasses.MISSING
        needed = {f.name for f in dataclasses.fields(kind) if f.default is missing and f.default_factory is missing}
        wrong = sorted((needed - value.keys()) | (value.keys() - fields.keys()))
        if wrong:
            name, known = shown(wrong[0]), wrong[0] in fields
            raise Malformed(say("record.missing" if known else "record.unknown", where=where, name=name))
        return kind(**{name: parse(fields[name], item, f"{where}.{shown(name)}") for name, item in value.items()})
    if origin is list:
        if not isinstance(value, list):
            raise Malformed(say("record.not_a_list", where=where))
        return [parse(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise Malformed(say("record.not_an_object", where=where))
        return {name: parse(arguments[1], item, f"{where}.{shown(name)}") for name, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if kind is int and type(value) is int:
        check_range(value, -(1 << 63), (1 << 63) - 1, where)
    if type(value) is not kind:
        raise Malformed(say("record.type", where=where, found=type(value).__name__, wanted=kind.__name__))
    return value


def check_range(value: int, least: int, most: int, where: str) -> None:
    """Raise Malformed where an integer is not within two others, ends included."""
    if not least <= value <= most:
        raise Malformed(say("record.range", where=where, found=value, least=least, most=most))


def check_length(values: Sequence[object], length: int, where: str) -> None:
    """Raise Malformed where a list has not just so many entries."""
    if len(values) != length:
        raise Malformed(say("record.length", where=where, found=len(values), wanted=length))


def shown(name: str) -> str:
    """A name as it may stand in a line."""
    return name if name.isprintable() else repr(name)
