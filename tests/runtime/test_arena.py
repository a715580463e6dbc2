"""Modulations on the host: right for any plan, labels and budget, never over the budget, each computed once."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.runtime.arena import Arena
from fdcn.runtime.plan import Guidance, sampler_plan

NULL = 10
WIDTH = 6
PLANS = [
    sampler_plan(solver, steps, blocks=1, guidance=Guidance(2.0, "all", interval))
    for solver, steps, interval in (("euler", 7, (0.3, 0.6)), ("heun-exact", 4, (0.0, 1.0)), ("neural", 10, (0.0, 1.0)))
]


class Conditioner:
    """The one part of a backend that an arena sees: rows that tell their time and class."""

    name = "conditioner"
    conditioning_bytes = 4 * (WIDTH + 2)

    def __init__(self):
        self.asked = []

    def condition(self, t, label):
        pairs = [(float(s), int(b)) for s in t for b in label]
        self.asked += pairs
        rows = np.array([100 * label + time for time, label in pairs], np.float32)
        return rows[:, None, None, None].repeat(WIDTH, 2), rows[:, None, None].repeat(2, 1)


@settings(deadline=None)
@given(plan=st.sampled_from(PLANS), labels=st.lists(st.integers(0, 9), min_size=1, max_size=5), rows=st.integers(0, 60))
def test_rows_for_any_budget(plan, labels, rows):
    conditioner = Conditioner()
    arena = Arena(conditioner, rows * conditioner.conditioning_bytes)
    for _ in range(2):
        seen = list(arena.rows(plan, labels, NULL))
        assert [id(row) for row, _ in seen] == [id(row) for row in plan.rows]
        for row, (modulation, final) in seen:
            classes = [label if run.conditional else NULL for run in row.passes for label in labels]
            want = np.array([100 * c + float(row.t) for c in classes], np.float32)
            np.testing.assert_array_equal(modulation, want[:, None, None, None].repeat(WIDTH, 2))
            np.testing.assert_array_equal(final, want[:, None, None].repeat(2, 1))
    if len(set(conditioner.asked)) <= rows // 2:
        assert len(set(conditioner.asked)) == len(conditioner.asked)


def test_the_null_class_is_not_computed_outside_the_guidance_interval():
    conditioner = Conditioner()
    list(Arena(conditioner).rows(PLANS[0], [3], NULL))
    assert [t for t, label in conditioner.asked if label == NULL] == [
        float(row.t) for row in PLANS[0].rows if len(row.passes) == 2
    ]


def test_the_budget_holds(monkeypatch):
    class Wide(Conditioner):
        conditioning_bytes = 4 * 6002

        def condition(self, t, label):
            return np.zeros((len(t) * len(label), 1, 6000, 1), np.float32), np.zeros(
                (len(t) * len(label), 2), np.float32
            )

    plan, budget = sampler_plan("euler", 200, blocks=1), 100 * Wide.conditioning_bytes
    arena = Arena(Wide(), budget)
    tracemalloc.start()
    try:
        for _ in arena.rows(plan, [1, 2], NULL):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    batch = 4 * Wide.conditioning_bytes  # of one row, with the next one's beside it
    assert budget / 2 < peak < budget + 2 * batch + 100_000


def test_an_iterator_that_is_closed_early_leaves_nothing_pinned():
    conditioner = Conditioner()
    arena = Arena(conditioner, 16 * conditioner.conditioning_bytes)
    for _ in range(20):
        rows = arena.rows(PLANS[1], [1, 2, 3], NULL)
        next(rows)
        rows.close()
    conditioner.asked.clear()
    next(arena.rows(PLANS[1], [1, 2, 3], NULL))
    assert conditioner.asked == []


def test_a_conditioner_that_fails_leaves_nothing_behind():
    class Failing(Conditioner):
        fails = True

        def condition(self, t, label):
            if self.fails:
                raise RuntimeError("no")
            return super().condition(t, label)

    conditioner = Failing()
    arena = Arena(conditioner)
    with pytest.raises(RuntimeError):
        next(arena.rows(PLANS[0], [1], NULL))
    conditioner.fails = False
    assert len(list(arena.rows(PLANS[0], [1], NULL))) == 7


def test_threads_share_one_arena():
    conditioner, wrong = Conditioner(), []
    arena = Arena(conditioner, 40 * conditioner.conditioning_bytes)

    def work(label):
        for _ in range(20):
            for row, (modulation, _) in arena.rows(PLANS[2], [label], NULL):
                want = np.array([100 * c + float(row.t) for c in (NULL, label)], np.float32)
                if not np.array_equal(modulation[:, 0, 0, 0], want):
                    wrong.append((label, row.t))

    threads = [threading.Thread(target=work, args=(label % 3,)) for label in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
