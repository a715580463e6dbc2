"""Which prepared shapes are kept: the longest unused ones go when all together outgrow a budget.

Policy alone, whatever the things are that it keeps.
"""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclasses.dataclass
class _Entry(Generic[V]):
    value: V | None = None
    size: int = 0
    busy: bool = True


class GraphCache(Generic[V]):
    """Values by key, each in the hands of one thread at a time. Several threads may use one."""

    def __init__(self, budget: int, size: Callable[[V], int], close: Callable[[V], None]) -> None:
        """`budget` and what `size` says of a value are in bytes; `close` gives a value up that nobody holds."""
        self.budget = budget
        self._size, self._close_value = size, close
        self._entries: collections.OrderedDict[Hashable, _Entry[V]] = collections.OrderedDict()  # longest unused first
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._entries)

    @contextlib.contextmanager
    def held(self, key: Hashable, make: Callable[[], V]) -> Iterator[V]:
        """For the time of a block, be the one who has a key's value, made where it is not there.

        Waits for who has it. Afterwards others are closed as far as the budget demands, and this one last.
        """
        entry = self._taken(key, new=True)
        assert entry is not None
        try:
            if entry.value is None:
                entry.value = make()
            yield entry.value
        finally:
            self._given_back(key, entry)

    @contextlib.contextmanager
    def held_if_there(self, key: Hashable) -> Iterator[V | None]:
        """The same for a value that is there, else None; it counts as no use of it."""
        entry = self._taken(key, new=False)
        try:
            yield entry.value if entry else None
        finally:
            if entry:
                self._given_back(key, entry)

    def idle_bytes(self) -> int:
        """What `drop_idle` would give back."""
        with self._changed:
            return sum(entry.size for entry in self._entries.values() if not entry.busy)

    def drop_idle(self) -> bool:
        """Close every value that nobody holds; whether there was one."""
        return self._shrink(0)

    def _taken(self, key: Hashable, new: bool) -> _Entry[V] | None:
        with self._changed:
            self._changed.wait_for(lambda: key not in self._entries or not self._entries[key].busy)
            entry = self._entries.get(key)
            if entry is not None:
                entry.busy = True
            elif new:
                entry = self._entries[key] = _Entry()
            if new:
                self._entries.move_to_end(key)
            return entry

    def _given_back(self, key: Hashable, entry: _Entry[V]) -> None:
        with self._changed:
            if entry.value is None:
                del self._entries[key]
            else:
                entry.size, entry.busy = self._size(entry.value), False
            self._changed.notify_all()
        self._shrink(self.budget)

    def _shrink(self, budget: int) -> bool:
        """Close idle values, the longest unused first, until all fit into a budget; whether any was closed."""
        closed = []
        with self._changed:
            total = sum(entry.size for entry in self._entries.values())
            for key, entry in list(self._entries.items()):
                if total > budget and not entry.busy:
                    closed.append(self._entries.pop(key).value)
                    total -= entry.size
        for value in closed:
            assert value is not None
            self._close_value(value)
        return bool(closed)
