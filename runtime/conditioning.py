"""Which modulations are kept: each distinct (time, class) is computed once and stays while there is room.

Bookkeeping alone. The rows themselves lie in an arena of slots, on the host (`arena.Arena`) or on a GPU.
"""

import collections
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fdcn.runtime.plan import Row

Key = tuple[float, int]
"""A time, of float32's values, and a class."""


class Reserved(NamedTuple):
    """Slots that stay as they are until they are released."""

    slots: np.ndarray
    """int32, one a key as they were given."""
    missing: dict[Key, int]
    """Those whose slot is still to be filled by the caller, in the order given: then call `filled`."""


@dataclasses.dataclass
class _Entry:
    slot: int
    pins: int = 0
    filled: bool = False


class ConditioningCache:
    """Slots for (time, class) pairs; the least recently used one makes room. Several threads may use one.

    Whoever reserves computes what is missing, says `filled`, reads, and says `release`, also where it fails in between:

        reserved = cache.reserve(keys)
        try:
            …  # write reserved.missing
            cache.filled(reserved.missing)
            …  # read reserved.slots
        finally:
            cache.release(keys)
    """

    def __init__(self, slots: int) -> None:
        """Bookkeeping for slots 0 to `slots` - 1, all free."""
        self.slots = slots
        self._untouched = iter(range(slots))
        self._free: list[int] = []  # given back
        self._entries: collections.OrderedDict[Key, _Entry] = collections.OrderedDict()  # the longest unused one first
        self._changed = threading.Condition()

    def reserve(self, keys: Sequence[Key]) -> Reserved | None:
        """Pin a slot for each distinct key; None where those that nobody has pinned are too few.

        Waits while another thread is computing one of the keys. Never waits for a pin, so that a caller may hold some.
        """
        distinct = dict.fromkeys(keys)
        with self._changed:
            self._changed.wait_for(lambda: all(self._entries[k].filled for k in distinct if k in self._entries))
            missing = [key for key in distinct if key not in self._entries]
            if not self._make_room(len(missing), keep=distinct):
                return None
            for key in missing:
                self._entries[key] = _Entry(self._free.pop() if self._free else next(self._untouched))
            for key in distinct:
                self._entries[key].pins += 1
                self._entries.move_to_end(key)
            slots = np.array([self._entries[key].slot for key in keys], np.int32)
            return Reserved(slots, {key: self._entries[key].slot for key in missing})

    def filled(self, keys: Iterable[Key]) -> None:
        """The slots of these keys, which were missing, hold their rows now."""
        with self._changed:
            for key in keys:
                self._entries[key].filled = True
            self._changed.notify_all()

    def release(self, keys: Iterable[Key]) -> None:
        """Take back the pins of one `reserve`, given the same keys. What was not filled is forgotten."""
        with self._changed:
            for key in dict.fromkeys(keys):
                entry = self._entries[key]
                entry.pins -= 1
                if not entry.filled:
                    self._free.append(self._entries.pop(key).slot)
            self._changed.notify_all()

    def _make_room(self, slots: int, keep: Iterable[Key]) -> bool:
        """Have so many slots free, by forgetting the longest unused; False, and nothing is forgotten, if that fails."""
        short = len(self._entries) + slots - self.slots
        if short <= 0:
            return True
        kept = set(keep)
        idle = [key for key, entry in self._entries.items() if not entry.pins and key not in kept]
        if len(idle) < short:
            return False
        for key in idle[:short]:
            self._free.append(self._entries.pop(key).slot)
        return True


def row_keys(row: Row, labels: Sequence[int], null: int) -> list[Key]:
    """What a row's doubled batch is conditioned on: the passes in order, each with every image."""
    t = float(row.t)
    return [(t, label if run.conditional else null) for run in row.passes for label in labels]


def products(keys: Iterable[Key]) -> Iterator[tuple[list[float], list[int]]]:
    """Keys as (times, classes), each to be computed as all pairs of the two; every key is in one of them."""
    times: dict[int, list[float]] = {}
    for t, label in keys:
        times.setdefault(label, []).append(t)
    classes: dict[tuple[float, ...], list[int]] = {}
    for label, of_label in times.items():
        classes.setdefault(tuple(of_label), []).append(label)
    for of_classes, labels in classes.items():
        yield list(of_classes), labels
