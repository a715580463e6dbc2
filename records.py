"""Records that are kept as JSON: dataclasses, checked against their types when they are read."""

import dataclasses
import types
import typing
from typing import Any


class Malformed(Exception):
    """A value is not what a type says; the message names where."""


def parse(kind: Any, value: Any, where: str) -> Any:
    """Check a JSON value against a type (a dataclass, list, dict, union or plain type) and build it.

    Fields with a default may be left out. Raises Malformed, with `where` and the path inside it.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        kinds = [k for k in arguments if (k is type(None)) == (value is None)]
        if not kinds:
            raise Malformed(f"{where} is missing")
        return None if value is None else parse(kinds[0], value, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise Malformed(f"{where} is not an object")
        fields = {f.name: f.type for f in dataclasses.fields(kind)}
        # What has a default came later: manifests written before it lack it.
        missing = dataclasses.MISSING
        needed = {f.name for f in dataclasses.fields(kind) if f.default is missing and f.default_factory is missing}
        wrong = sorted((needed - value.keys()) | (value.keys() - fields.keys()))
        if wrong:
            raise Malformed(f"{where}: {_shown(wrong[0])} is {'missing' if wrong[0] in fields else 'unknown'}")
        return kind(**{name: parse(fields[name], item, f"{where}.{_shown(name)}") for name, item in value.items()})
    if origin is list:
        if not isinstance(value, list):
            raise Malformed(f"{where} is not a list")
        return [parse(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise Malformed(f"{where} is not an object")
        return {name: parse(arguments[1], item, f"{where}.{_shown(name)}") for name, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise Malformed(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value


def _shown(name: str) -> str:
    """A name as it may stand in a line."""
    return name if name.isprintable() else repr(name)
