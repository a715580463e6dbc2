"""A thread that samples what is waiting, in batches, and hands the results to futures."""

import atexit
import threading
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


class Worker(Generic[J, R]):
    """Batches of jobs, formed from whatever is waiting whenever the thread is free; it starts with the first job.

    `together(job)` is how many images a batch with such a job may have. `run(jobs, check)` gives a result, or the
    exception instead of it, for each job of a batch. What either raises goes to the futures that it concerns.
    """

    def __init__(
        self, together: Callable[[J], int], run: Callable[[Sequence[J], Check], Sequence[R | BaseException]]
    ) -> None:
        self._together, self._run = together, run
        self._waiting: list[tuple[J, Future[R]]] = []  # the oldest first
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
            self._waiting.append((job, future))
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
        for _, future in dropped:
            if future.set_running_or_notify_cancel():
                future.set_exception(error())

    def join(self) -> None:
        """Wait for the thread's end, after `close` or `finish`; it does not wait for itself."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            self._make(batch)
            batch.clear()  # results are not kept while it waits for more
        atexit.unregister(self._abandon)

    def _next(self) -> list[tuple[J, "Future[R]"]]:
        """The jobs to run together, whose futures cannot be cancelled any more; none at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._finishing)
                self._waiting = [pair for pair in self._waiting if not _cancelled(pair[1])]
                if not self._waiting:
                    if self._finishing:
                        return []
                    continue
                oldest = self._waiting[0]
            try:
                together = self._together(oldest[0])  # without the lock: it may look at the machine
            except Exception:  # noqa: BLE001 - not lost: see below
                together = 0  # it runs alone, and meets the same there
            with self._changed:
                if not self._waiting or self._waiting[0] is not oldest:
                    continue  # closed meanwhile
                chosen = set(choose([job for job, _ in self._waiting], together))
                batch = [pair for i, pair in enumerate(self._waiting) if i in chosen]
                self._waiting = [pair for i, pair in enumerate(self._waiting) if i not in chosen]
            batch = [pair for pair in batch if pair[1].set_running_or_notify_cancel()]
            if batch:
                return batch

    def _make(self, batch: list[tuple[J, "Future[R]"]]) -> None:
        results: Sequence[R | BaseException]
        try:
            results = self._run([job for job, _ in batch], self._check)
        except BaseException as error:  # noqa: BLE001 - the futures raise it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

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
