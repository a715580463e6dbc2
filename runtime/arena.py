"""Modulations on the host: those of `ConditioningCache`'s slots, computed ahead in chunks of a plan's rows."""

import contextlib
import threading
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from fdcn.runtime.backends.base import Backend
from fdcn.runtime.conditioning import ConditioningCache, Key, products, row_keys
from fdcn.runtime.plan import Row, SamplerPlan
from fdcn.runtime.tables import CONDITIONING_BYTES

BUDGET = CONDITIONING_BYTES
"""Bytes of modulations held at a time: a quarter for what the conditioner has just made, the rest for the slots."""

Modulations = tuple[np.ndarray, np.ndarray]
"""modulation [B, blocks, 6, h] and final [B, 2, h], float32."""


class Arena:
    """The conditioner of a backend, and its outputs for as long as the budget allows. Several threads may use one."""

    def __init__(self, backend: Backend, budget: int | None = None) -> None:
        """`budget` is in bytes, BUDGET if None."""
        rows = (BUDGET if budget is None else budget) // backend.conditioning_bytes
        self._backend = backend
        self._at_once = max(1, rows // 4)
        self._cache = ConditioningCache(max(1, rows - self._at_once))
        self._storage: Modulations | None = None
        self._allocating = threading.Lock()

    def rows(
        self, plan: SamplerPlan, labels: Sequence[int], null: int
    ) -> Generator[tuple[Row, Modulations], None, None]:
        """Each row of a plan with the modulations of its doubled batch: the passes in order, each with every image.

        `labels` has an entry an image; `null` is the class of unconditional passes. Close the iterator if it is not
        used up: it has slots pinned.
        """
        start = 0
        while start < len(plan.rows):
            wanted = [row_keys(row, labels, null) for row in self._chunk(plan.rows[start:], labels, null)]
            with self._conditioned([key for keys in wanted for key in keys]) as slots:
                if slots is None:
                    wanted = wanted[:1]
                    yield plan.rows[start], self._uncached(wanted[0])
                else:
                    parts = np.split(slots, np.cumsum([len(keys) for keys in wanted])[:-1])
                    for row, part in zip(plan.rows[start:], parts, strict=False):
                        assert self._storage is not None
                        yield row, (self._storage[0][part], self._storage[1][part])
            start += len(wanted)

    def _chunk(self, rows: Sequence[Row], labels: Sequence[int], null: int) -> list[Row]:
        """The rows ahead that are conditioned together: at least one, and the keys of all within `_at_once`."""
        chunk: list[Row] = []
        keys: set[Key] = set()
        for row in rows:
            keys.update(row_keys(row, labels, null))
            if chunk and len(keys) > self._at_once:
                break
            chunk.append(row)
        return chunk

    @contextlib.contextmanager
    def _conditioned(self, keys: list[Key]) -> Iterator[np.ndarray | None]:
        """The slots of these keys, filled and pinned; None where the cache is too small or others have pinned it."""
        reserved = self._cache.reserve(keys)
        if reserved is None:
            yield None
            return
        try:
            for part, made in self._computed(reserved.missing):
                slots = [reserved.missing[key] for key in part]
                for stored, rows in zip(self._storage_like(made), made, strict=True):
                    stored[slots] = rows
            self._cache.filled(reserved.missing)
            yield reserved.slots
        finally:
            self._cache.release(keys)

    def _uncached(self, keys: list[Key]) -> Modulations:
        """What one row needs, computed for it alone."""
        rows: dict[Key, Modulations] = {}
        for part, (modulation, final) in self._computed(dict.fromkeys(keys)):
            rows |= {key: (modulation[i], final[i]) for i, key in enumerate(part)}
        modulations, finals = zip(*(rows[key] for key in keys), strict=True)
        return np.stack(modulations), np.stack(finals)

    def _computed(self, keys: dict[Key, int] | dict[Key, None]) -> Iterator[tuple[list[Key], Modulations]]:
        """The conditioner's rows of distinct keys, in parts of `_at_once`; with each the keys of its rows."""
        for times, labels in products(keys):
            together = max(1, self._at_once // len(times))
            for i in range(0, len(labels), together):
                part = labels[i : i + together]
                made = self._backend.condition(np.array(times, np.float32), np.array(part, np.int64))
                yield [(t, label) for t in times for label in part], made

    def _storage_like(self, made: Modulations) -> Modulations:
        with self._allocating:
            if self._storage is None:
                modulation, final = (np.empty((self._cache.slots, *rows.shape[1:]), rows.dtype) for rows in made)
                self._storage = modulation, final
            return self._storage
