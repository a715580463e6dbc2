"""Which modulations are kept: the cache's promises under any sequence of calls, and with several threads."""

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.runtime.conditioning import ConditioningCache, products, row_keys
from fdcn.runtime.plan import Guidance, sampler_plan

KEYS = st.tuples(st.sampled_from([0.0, 0.5, 0.75]), st.integers(0, 4))
CALLS = st.lists(
    st.tuples(st.lists(KEYS, min_size=1, max_size=6), st.sampled_from(["done", "held", "failed"])), max_size=30
)


@settings(deadline=None)
@given(slots=st.integers(1, 8), calls=CALLS)
def test_a_slot_holds_what_was_put_there_until_it_is_released(slots, calls):
    cache = ConditioningCache(slots)
    arena: list = [None] * slots
    held: list = []
    for keys, end in calls:
        reserved = cache.reserve(keys)
        pinned = {key for kept, _ in held for key in kept}
        if reserved is None:
            assert len(pinned | set(keys)) > slots
            continue
        assert set(reserved.missing) <= set(keys) - pinned
        assert len(set(reserved.slots)) == len(set(keys))
        if end == "failed":
            cache.release(keys)
            continue
        for key, slot in reserved.missing.items():
            arena[slot] = key
        cache.filled(reserved.missing)
        for kept, kept_slots in [*held, (keys, reserved.slots)]:
            assert [arena[slot] for slot in kept_slots] == kept
        if end == "held":
            held.append((keys, reserved.slots))
        else:
            cache.release(keys)
    for keys, _ in held:
        cache.release(keys)
    assert cache.reserve([(0.25, i) for i in range(slots)]) is not None  # nothing is pinned any more


def test_the_least_recently_used_makes_room():
    cache = ConditioningCache(3)

    def use(*labels):
        keys = [(0.5, label) for label in labels]
        missing = cache.reserve(keys).missing
        cache.filled(missing)
        cache.release(keys)
        return [label for _, label in missing]

    assert use(1, 2, 3) == [1, 2, 3]
    assert use(1) == []
    assert use(4) == [4]  # in the place of 2
    assert use(3, 1) == []
    assert use(2) == [2]  # in the place of 4
    assert use(1, 2, 3) == []


def test_what_another_thread_computes_is_waited_for():
    cache, key, found = ConditioningCache(2), (0.5, 1), []
    assert cache.reserve([key]).missing
    waiting = threading.Thread(target=lambda: found.append(cache.reserve([key]).missing), daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert found == []
    cache.filled([key])
    waiting.join(10)
    assert found == [{}]


def test_who_waits_computes_what_the_other_failed_to():
    cache, key, found = ConditioningCache(2), (0.5, 1), []
    cache.reserve([key])
    waiting = threading.Thread(target=lambda: found.append(cache.reserve([key]).missing), daemon=True)
    waiting.start()
    cache.release([key])
    waiting.join(10)
    assert [list(missing) for missing in found] == [[key]]


@given(st.lists(KEYS, unique=True))
def test_products_cover_the_keys_exactly(keys):
    made = [(t, label) for times, labels in products(keys) for t in times for label in labels]
    assert sorted(made) == sorted(keys)


def test_a_plan_of_all_pairs_is_one_product():
    keys = [(t, label) for t in (0.0, 0.25, 0.5) for label in (10, 3, 7)]
    assert list(products(keys)) == [([0.0, 0.25, 0.5], [10, 3, 7])]


def test_a_row_names_the_null_class_only_where_it_is_evaluated():
    plan = sampler_plan("euler", 4, blocks=1, guidance=Guidance(3.0, "all", (0.5, 1.0)))
    assert row_keys(plan.rows[0], [3, 3, 5], 10) == [(0.0, 3), (0.0, 3), (0.0, 5)]
    t = float(np.float32(plan.rows[2].t))
    assert row_keys(plan.rows[2], [3, 5], 10) == [(t, 10), (t, 10), (t, 3), (t, 5)]
