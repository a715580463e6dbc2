"""Which products stay in high precision: what is asked for, and bisection against trying every number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdcn.calib import keep
from fdcn.calib.keep import Budget
from fdcn.errors import FdcnError

PRODUCTS = ["embed", "blocks.0.projection", "blocks.0.out", "blocks.1.projection", "blocks.1.out", "head"]


@pytest.mark.parametrize(
    ("text", "wanted"), [("30dB", Budget(30, False)), (" 42.5 db", Budget(42.5, False)), ("1.5x", Budget(1.5, True))]
)
def test_budgets(text, wanted):
    assert keep.budget(text) == wanted


@pytest.mark.parametrize("text", ["", "30", "dB", "-3dB", "0x", "1.5", "nandB", "1e3dB", "30dB 2x"])
def test_what_is_no_budget(text):
    with pytest.raises(FdcnError, match="is no budget; give a PSNR, as --budget"):
        keep.budget(text)


def test_lists():
    assert keep.listed(PRODUCTS, "auto") == keep.listed(PRODUCTS, "none") == {}
    assert [*keep.listed(PRODUCTS, "blocks.*.out, head")] == ["blocks.0.out", "blocks.1.out", "head"]
    assert keep.listed(PRODUCTS, "embed") == {"embed": "asked for"}
    assert keep.ends(PRODUCTS) == {"embed": "the first", "head": "the last"}
    with pytest.raises(FdcnError, match=r"--keep blocks\.9 is none of the network's products; there are 6, such as"):
        keep.listed(PRODUCTS, "embed,blocks.9")
    with pytest.raises(FdcnError, match="names nothing"):
        keep.listed(PRODUCTS, " , ")


@given(st.integers(1, 60), st.data())
def test_fewest_and_most(ranked, data):
    least = data.draw(st.integers(0, ranked))  # at `ranked` nothing would be quantised
    assert keep.fewest(ranked, lambda n: n >= least) == (least if least < ranked else None)
    greatest = data.draw(st.integers(-1, ranked - 1))
    assert keep.most(ranked, lambda n: n <= greatest) == (greatest if greatest >= 0 else None)


def test_ranking_puts_the_worst_first():
    noises = {"a": 1e-5, "b": 1e-3, "c": math.nan, "d": 1e-5, "e": 0.0, "f": math.inf}
    assert keep.ranking(noises) == ["c", "f", "b", "a", "d", "e"]
