"""Closing what threads are using."""

import threading

import pytest

from fdcn.errors import FdcnError
from fdcn.runtime.gate import Gate

SOON = 20


@pytest.fixture
def closed():
    return []


@pytest.fixture
def gate(closed):
    return Gate("the thing", lambda: closed.append(threading.get_ident()))


def test_closing_happens_once_and_then_nobody_comes_in(gate, closed):
    with gate.inside(), gate.inside():
        pass
    gate.close()
    gate.close()
    assert len(closed) == 1
    with pytest.raises(FdcnError, match="the thing was closed"), gate.inside():
        raise AssertionError("inside")


def test_close_waits_for_those_inside(gate, closed):
    entered, leave = threading.Event(), threading.Event()

    def work():
        with gate.inside():
            entered.set()
            leave.wait(SOON)
            assert not closed

    threads = [threading.Thread(target=work), threading.Thread(target=gate.close)]
    threads[0].start()
    assert entered.wait(SOON)
    threads[1].start()
    threads[1].join(0.05)
    assert threads[1].is_alive()
    leave.set()
    for thread in threads:
        thread.join(SOON)
    assert closed == [threads[1].ident] or closed == [threads[0].ident]


def test_the_last_one_out_closes_where_it_asked_from_inside(gate, closed):
    with gate.inside():
        with gate.inside():
            gate.close()
        assert not closed
        with pytest.raises(FdcnError), gate.inside():
            pass
    assert closed == [threading.get_ident()]


def test_an_exception_leaves_as_well(gate, closed):
    with pytest.raises(ValueError, match="x"), gate.inside():
        raise ValueError("x")
    gate.close()
    assert len(closed) == 1
