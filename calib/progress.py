"""What an interrupted `fdcn calibrate` left in its bundle, to go on from; and how far it is."""

import contextlib
import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fdcn.bundle import replace_file

PREFIX = "calibrating-"
"""Starts the folder's name; the rest is a digest of the settings and the weights."""
SECONDS = 10.0
"""How much work an interrupted run may lose, unless one part of it takes longer."""

_MEASURED, _SWEPT = "measured.npz", "swept.json"


class Told(Protocol):
    """Who is told how far the work is: `told(what, done, total)`."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


class Stages:
    """Shows a bar for each stage in turn; `bar(what)` opens one, a context that gives what to call with (done, total).

    Use it with `with`: the last bar closes at the end.
    """

    def __init__(self, bar: Callable[[str], AbstractContextManager[Callable[[int, int], None]]]) -> None:
        self._bar, self._closing = bar, contextlib.ExitStack()
        self._shown: tuple[str, Callable[[int, int], None]] | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._shown is None or self._shown[0] != what:
            self.end()
            self._shown = what, self._closing.enter_context(self._bar(what))
        self._shown[1](done, total)

    def end(self) -> None:
        """Take the bar away: a line of text follows."""
        self._closing.close()
        self._shown = None

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()


class HasArrays(Protocol):
    """Something that is measured: its arrays by name, which may be written to."""

    def arrays(self) -> Mapping[str, np.ndarray]: ...


class Kept:
    """A folder of the bundle for work that is not done, by what it was made from: other settings never meet in one."""

    def __init__(self, bundle: Path, made_from: Mapping[str, Any], told: Told = lambda what, done, total: None) -> None:
        digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = bundle / f"{PREFIX}{digest}"
        self.at = told
        self.rows: dict[str, Any] = self._read_rows()
        """JSON of the sweep; `save` writes it."""
        self._saved = time.monotonic()

    def save(self) -> None:
        """Write `rows`, whole or not at all."""
        text = json.dumps(self.rows)
        self._write(_SWEPT, lambda file: file.write(text.encode()))

    def restore(self, *measured: HasArrays) -> int:
        """Fill in what an earlier run had measured; gives how many parts it had done, 0 where there is nothing."""
        arrays = [array for each in measured for array in each.arrays().values()]
        try:
            with np.load(self.folder / _MEASURED, allow_pickle=False) as file:
                done, found = int(file["done"]), [file[f"{i}"] for i in range(len(arrays))]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return 0
        for array, stored in zip(arrays, found, strict=True):
            array[...] = stored
        return done

    def checkpoint(self, done: int, *measured: HasArrays, now: bool = False) -> None:
        """Keep what was measured after so many parts, once `SECONDS` have passed since the last time, or `now`."""
        if not now and time.monotonic() - self._saved < SECONDS:
            return
        arrays = [array for each in measured for array in each.arrays().values()]
        named: dict[str, Any] = {f"{i}": array for i, array in enumerate(arrays)}
        self._write(_MEASURED, lambda file: np.savez(file, done=done, **named))
        self._saved = time.monotonic()

    def remove(self) -> None:
        """The work is done: drop it, and what was begun with settings that nobody came back to."""
        for folder in self.folder.parent.glob(f"{PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, name: str, write: Callable[[Any], object]) -> None:
        with contextlib.suppress(OSError):  # replace_file says what is wrong
            self.folder.mkdir(exist_ok=True)
        replace_file(self.folder / name, write)

    def _read_rows(self) -> dict[str, Any]:
        try:
            rows = json.loads((self.folder / _SWEPT).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return rows if isinstance(rows, dict) else {}
