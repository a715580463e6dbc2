"""A request's tensors as the arguments of `Pipeline`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fdcn.errors import FdcnError


def read_options(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arguments of a call of `Pipeline` from inputs by name, each with a row a picture; see `tensors.inputs`.

    Raises FdcnError where rows differ in what all pictures of a request must share, or text is not UTF-8.
    """
    options: dict[str, Any] = {"labels": [_text("LABEL", row) for row in tensors["LABEL"]]}
    if "SEED" in tensors:
        options["seeds"] = [int(row[0]) for row in tensors["SEED"]]
    else:
        options["seeds"] = [0] * len(options["labels"])
    if "NOISE" in tensors:
        options["noise"] = tensors["NOISE"]
    for name, read in _SHARED.items():
        if name in tensors:
            options[name.lower()] = read(name, _shared_row(name, tensors[name]))
    return options


def _shared_row(name: str, rows: np.ndarray) -> np.ndarray:
    if any(row.tolist() != rows[0].tolist() for row in rows[1:]):
        raise FdcnError(f"the rows of {name} differ: pictures that differ in it take a request each")
    return rows[0]


def _text(name: str, row: Sequence[Any]) -> str:
    value = row[0]
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise FdcnError(f"{name} is not text in UTF-8") from None


def _numbers(name: str, row: np.ndarray) -> tuple[Any, ...]:
    return tuple(row.tolist())


def _one(name: str, row: np.ndarray) -> Any:
    return row.tolist()[0]


_SHARED: dict[str, Callable[[str, Any], Any]] = {
    "SIZE": _numbers,
    "SOLVER": _text,
    "STEPS": _one,
    "LAST_STEP": _one,
    "GUIDANCE": _one,
    "GUIDANCE_CHANNELS": _text,
    "GUIDANCE_INTERVAL": _numbers,
    "S_MAX_ADJUST": _one,
    "PREVIEW_EVERY": _one,
}
"""How each input that all rows share becomes the argument of its name."""
