"""A thread that samples what is waiting, in batches, and hands the results to futures."""

import atexit
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from fdcn.runtime.batching import Waiting, choose

J = TypeVar("J", bound=Waiting)
R = TypeVar("R")
Check = Callable[[], None]
"""Called now and then while a batch is made; raises where it is to be given up."""


class Abandoned(Exception):
    """Python ends: nobody will read the result."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Entry(Generic[J, R]):
    """A job in the queue."""

    job: J
    future: "Future[R]"
    until: float
    """By the monotonic clock, when it goes with a batch that is not full."""


class Worker(Generic[J, R]):
    """Batches of jobs, formed from whatever is waiting whenever the thread is free; it starts with the first job.

    `together(job)` is how many images a batch with such a job may have. `run(jobs, check)` gives a result, or the
    exception instead of it, for each job of a batch. What either raises goes to the futures that it concerns. A job
    waits up to `delay` seconds for others to fill its batch.
    """

    def __init__(
        self,
        together: Callable[[J], int],
        run: Callable[[Sequence[J], Check], Sequence[R | BaseException]],
        delay: float = 0.0,
    ) -> None:
        self._together, self._run, self._delay = together, run, delay
        self._waiting: list[_Entry[J, R]] = []  # the oldest first
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: Callable[[], BaseException] | None = None
        self._finishing = self._abandoning = False

    def submit(self, job: J) -> "Future[R]":
        """Queue a job. Raises what `close` was given, once it is closed."""
        future: Future[R] = Future()
        with self._changed:
            if self._error is not None:
                raise self._error()
            self._waiting.append(_Entry(job, future, time.monotonic() + self._delay))
            if self._thread is None:
                # A daemon, or Python would wait for it before it asks anybody to end it.
                self._thread = threading.Thread(target=self._work, name="fdcn", daemon=True)
                atexit.register(self._abandon)
                self._thread.start()
            self._changed.notify_all()
        return future

    def finish(self) -> None:
        """No more jobs come: the thread ends when it has done those that wait. Does not wait for it."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def close(self, error: Callable[[], BaseException]) -> None:
        """End the thread after the batch that it is at; the futures that wait, and later jobs, get an error."""
        with self._changed:
            self._error, self._finishing = error, True
            dropped, self._waiting = self._waiting, []
            self._changed.notify_all()
        for entry in dropped:
            if entry.future.set_running_or_notify_cancel():
                entry.future.set_exception(error())

    def join(self) -> None:
        """Wait for the thread's end, after `close` or `finish`; it does not wait for itself."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            self._make(batch)
            batch.clear()  # results are not kept while it waits for more
        atexit.unregister(self._abandon)

    def _next(self) -> "list[_Entry[J, R]]":
        """The jobs to run together, whose futures cannot be cancelled any more; none at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._finishing)
                self._waiting = [entry for entry in self._waiting if not _cancelled(entry.future)]
                if not self._waiting:
                    if self._finishing:
                        return []
                    continue
                oldest = self._waiting[0]
            try:
                together = self._together(oldest.job)  # without the lock: it may look at the machine
            except Exception:  # noqa: BLE001 - not lost: see below
                together = 0  # it runs alone, and meets the same there
            with self._changed:
                if not self._waiting or self._waiting[0] is not oldest:
                    continue  # closed meanwhile
                chosen = set(choose([entry.job for entry in self._waiting], together))
                missing = together - sum(self._waiting[i].job.images for i in chosen)
                left = oldest.until - time.monotonic()
                if oldest.job.kind is not None and missing > 0 and left > 0 and not self._finishing:
                    self._changed.wait(left)
                    continue
                batch = [entry for i, entry in enumerate(self._waiting) if i in chosen]
                self._waiting = [entry for i, entry in enumerate(self._waiting) if i not in chosen]
            batch = [entry for entry in batch if entry.future.set_running_or_notify_cancel()]
            if batch:
                return batch

    def _make(self, batch: "list[_Entry[J, R]]") -> None:
        results: Sequence[R | BaseException]
        try:
            results = self._run([entry.job for entry in batch], self._check)
        except BaseException as error:  # noqa: BLE001 - the futures raise it
            results = [error] * len(batch)
        for entry, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)

    def _check(self) -> None:
        if self._abandoning:
            raise Abandoned

    def _abandon(self) -> None:
        # As Python ends: a thread inside a native library must not outlive what that library needs.
        self._abandoning = True
        self.close(Abandoned)
        self.join()


def _cancelled(future: "Future[Any]") -> bool:
    """Whether it was cancelled; whoever waits for it is told."""
    return future.cancelled() and not future.set_running_or_notify_cancel()
