"""Which prepared shapes are kept: policy alone."""

import threading

import pytest

from fdcn.runtime.backends.device_graphs import GraphCache


@pytest.fixture
def closed():
    return []


@pytest.fixture
def cache(closed):
    """A budget of 10 for values that are their own size."""
    return GraphCache(10, lambda value: value[1], closed.append)


def use(cache, name, size=4):
    with cache.held(name, lambda: (name, size)) as value:
        return value


def test_the_longest_unused_goes_first(cache, closed):
    for name in "aba":
        use(cache, name)
    use(cache, "c")
    assert closed == [("b", 4)]
    use(cache, "d")
    assert closed == [("b", 4), ("a", 4)]
    assert len(cache) == 2


def test_one_that_is_larger_than_the_budget_lives_for_its_use(cache, closed):
    with cache.held("large", lambda: ("large", 11)):
        assert not closed
    assert closed == [("large", 11)]
    assert len(cache) == 0


def test_what_is_in_use_stays(cache, closed):
    with cache.held("a", lambda: ("a", 8)):
        use(cache, "b", 8)
        cache.drop_idle()
        assert closed == [("b", 8)]
    assert use(cache, "a") == ("a", 8)


def test_a_value_that_grows_is_counted_as_it_is(closed):
    sizes = {"a": 1, "b": 1}
    cache = GraphCache(10, sizes.__getitem__, closed.append)
    for name in sizes:
        with cache.held(name, lambda name=name: name):
            pass
    with cache.held_if_there("a"):
        sizes["a"] = 10
    assert closed == ["a"]  # preparing it was no use of it
    with cache.held_if_there("a") as gone:
        assert gone is None


def test_what_cannot_be_made_is_not_kept(cache, closed):
    def fail():
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError), cache.held("a", fail):
            pass
    assert len(cache) == 0
    assert use(cache, "a") == ("a", 4)
    assert cache.drop_idle()
    assert not cache.drop_idle()
    assert closed == [("a", 4)]


def test_one_thread_has_a_value_at_a_time(cache):
    inside, most, made = [], [], []

    def make():
        made.append(1)
        return ("a", 4)

    def work():
        for _ in range(50):
            with cache.held("a", make):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(made) == 1
