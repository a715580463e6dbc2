"""How calls are timed, and what is told of their times."""

import numpy as np
import pytest

from fdcn.bench import timing
from fdcn.bench.timing import Pace, measure, spread


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_percentiles_are_those_of_the_sorted_samples(count):
    samples = list(np.random.default_rng(count).exponential(size=count))
    ranks = np.arange(count) / max(1, count - 1)
    found = spread(samples)
    for part, value in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99)):
        assert value == pytest.approx(np.interp(part, ranks, sorted(samples)))


@pytest.mark.parametrize(
    ("seconds", "calls"), [(0.1, 20), (100.0, timing.LEAST), (1e-9, timing.MOST), (0.0, timing.MOST)]
)
def test_calls_fill_the_time(seconds, calls):
    assert Pace(2.0).calls(seconds) == calls
    assert Pace(2.0, repeats=7).calls(seconds) == 7


@pytest.fixture
def clock(monkeypatch):
    """Calls that take what a list says, by a clock of their own."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def work(lengths):
        left = list(lengths)

        def call():
            now[0] += left.pop(0)

        return call

    return work


def test_the_calls_that_warm_up_do_not_count(clock):
    assert measure(clock([0.5, 0.2, 0.1, 0.2, 0.3]), Pace(2.0, repeats=3)) == pytest.approx([0.1, 0.2, 0.3])
    assert measure(clock([1.5, 0.5, 0.1, 0.2, 0.3, 0.4]), Pace(2.0)) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_long_call_warms_up_once(clock):
    assert measure(clock([3.0, 5.0, 6.0, 7.0]), Pace(2.0)) == pytest.approx([5.0, 6.0, 7.0])
