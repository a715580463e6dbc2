"""The thread behind `submit`, with jobs whose run the test holds in its hands."""

import dataclasses
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError, wait

import pytest

from fdcn.runtime.worker import Worker

SOON = 20
"""Seconds after which a test is stuck."""


@dataclasses.dataclass(eq=False)
class Job:
    name: str
    kind: str | None = "kind"
    images: int = 1


class Runs:
    """The batches of a worker, by the names in them; each begins, then waits until it is let go."""

    def __init__(self, held=True):
        self.batches = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.held = held
        self.worker = Worker(lambda job: 3, self.run)

    def run(self, jobs, check):
        self.batches.append([job.name for job in jobs])
        self.begun.release()
        if self.held:
            assert self.go.acquire(timeout=SOON)
        check()
        failing = [job for job in jobs if job.name == "all fail"]
        if failing:
            raise ValueError("all")
        return [ValueError(job.name) if job.name == "fails" else job.name.upper() for job in jobs]

    def begin(self, *jobs):
        """Queue jobs; the first has begun when this returns."""
        futures = [self.worker.submit(job) for job in jobs]
        assert self.begun.acquire(timeout=SOON)
        return futures

    def let_go(self, batches=1):
        for _ in range(batches):
            self.go.release()


@pytest.fixture
def runs():
    made = Runs()
    yield made
    made.let_go(100)
    made.worker.close(RuntimeError)
    made.worker.join()


def test_what_waits_is_run_together(runs):
    (first,) = runs.begin(Job("a"))
    others = [runs.worker.submit(Job(name, kind)) for name, kind in (("b", "x"), ("c", "y"), ("d", "x"), ("e", None))]
    runs.let_go(9)
    assert [future.result(SOON) for future in (first, *others)] == ["A", "B", "C", "D", "E"]
    assert runs.batches == [["a"], ["b", "d"], ["c"], ["e"]]


def test_failures_go_to_those_they_concern(runs):
    runs.begin(Job("a"))
    some = [runs.worker.submit(Job(name, "x")) for name in ("b", "fails")]
    every = [runs.worker.submit(Job(name, "y")) for name in ("c", "all fail")]
    runs.let_go(3)
    assert some[0].result(SOON) == "B"
    for future in (some[1], *every):
        with pytest.raises(ValueError, match=r"fails|all"):
            future.result(SOON)


def test_a_limit_that_cannot_be_told_is_met_again_in_the_run():
    def together(job):
        raise ValueError("no memory")

    worker = Worker(together, lambda jobs, check: [len(jobs)] * len(jobs))
    futures = [worker.submit(Job(str(i))) for i in range(5)]
    assert [future.result(SOON) for future in futures] == [1] * 5
    worker.finish()
    worker.join()


def test_a_future_can_be_cancelled_before_it_starts(runs):
    (running,) = runs.begin(Job("a"))
    waiting, other = runs.worker.submit(Job("b")), runs.worker.submit(Job("c"))
    assert not running.cancel()
    assert waiting.cancel()
    runs.let_go(2)
    assert other.result(SOON) == "C"
    assert runs.batches == [["a"], ["c"]]
    assert not wait([waiting], SOON).not_done  # whoever waits for it is told
    with pytest.raises(CancelledError):
        waiting.result()


def test_close_finishes_the_running_batch_and_refuses_the_rest(runs):
    (running,) = runs.begin(Job("a"))
    waiting, cancelled = runs.worker.submit(Job("b")), runs.worker.submit(Job("c"))
    cancelled.cancel()
    runs.worker.close(lambda: RuntimeError("closed"))
    with pytest.raises(RuntimeError, match="closed"):
        waiting.result(SOON)
    with pytest.raises(RuntimeError, match="closed"):
        runs.worker.submit(Job("d"))
    runs.let_go()
    runs.worker.join()
    assert running.result(0) == "A"
    runs.worker.close(RuntimeError)
    assert runs.batches == [["a"]]


def test_finish_runs_what_waits_and_ends_the_thread(runs):
    (first,) = runs.begin(Job("a"))
    second = runs.worker.submit(Job("b"))
    runs.worker.finish()
    runs.let_go(2)
    runs.worker.join()
    assert (first.result(0), second.result(0)) == ("A", "B")


def test_a_closing_callback_in_the_thread_does_not_wait_for_itself(runs):
    (future,) = runs.begin(Job("a"))
    closed = threading.Event()

    def close(_):
        runs.worker.close(RuntimeError)
        runs.worker.join()
        closed.set()

    future.add_done_callback(close)
    runs.let_go()
    assert closed.wait(SOON)


def test_an_idle_thread_keeps_no_results_and_a_finished_one_nothing():
    class Result:
        pass

    worker = Worker(lambda job: 3, lambda jobs, check: [Result() for _ in jobs])
    future = worker.submit(Job("a"))
    result = weakref.ref(future.result(SOON))
    del future
    until = time.monotonic() + SOON
    while result() is not None:  # the thread may still be at its side of handing it over
        assert time.monotonic() < until
        time.sleep(0.01)
    worker.finish()
    worker.join()
    gone = weakref.ref(worker)
    del worker
    gc.collect()
    assert gone() is None


AT_EXIT = """
import threading, time
from fdcn.runtime.worker import Worker
class Job: kind, images = None, 1
begun = threading.Event()
def run(jobs, check):
    begun.set()
    while True:
        time.sleep(0.01)
        try:
            check()
        except BaseException as error:
            print("given up:", type(error).__name__, flush=True)
            raise
worker = Worker(lambda job: 1, run)
futures = [worker.submit(Job()) for _ in range(3)]
begun.wait()
print("end", flush=True)
"""


def test_python_can_end_while_it_works():
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\ngiven up: Abandoned\n", "")


def test_a_job_waits_for_its_batch_only_so_long():
    runs = []
    worker = Worker(lambda job: 3, lambda jobs, check: runs.append([job.name for job in jobs]) or jobs, delay=0.2)
    began = time.monotonic()
    first = worker.submit(Job("a"))
    other = worker.submit(Job("b", "other"))
    worker.submit(Job("c")).result(SOON)
    assert first.done()
    assert time.monotonic() - began >= 0.2
    other.result(SOON)
    worker.submit(Job("d", None)).result(SOON)
    assert runs == [["a", "c"], ["b"], ["d"]]
    worker.submit(Job("e"))
    worker.finish()  # what waits is not kept waiting
    worker.join()
    assert runs[-1] == ["e"]
