"""The numbers of a comparison against formulas of their own, and what passes."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fdcn.bundle import QUANTISED
from fdcn.verify.limits import NETWORK, OPERATOR, PICTURE, PRECISIONS, Limits, coarser
from fdcn.verify.metrics import differences, psnr, worst

NOTHING = Limits()


def formulas(want, got):
    """(cosine, PSNR over the largest magnitude, mean error, largest error), a number at a time."""
    pairs = [(float(a), float(b)) for a, b in zip(want.ravel(), got.ravel(), strict=True)]
    product = math.fsum(a * b for a, b in pairs)
    lengths = math.sqrt(math.fsum(a * a for a, _ in pairs)) * math.sqrt(math.fsum(b * b for _, b in pairs))
    errors = [abs(a - b) for a, b in pairs]
    squares = math.fsum(e * e for e in errors) / len(errors)
    peak = max(abs(a) for a, _ in pairs)
    level = math.inf if squares == 0 else 20 * math.log10(peak) - 10 * math.log10(squares)
    return product / lengths, level, math.fsum(errors) / len(errors), max(errors)


SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, max_side=5)
NUMBERS = st.floats(0.125, 1e3, width=32).flatmap(lambda x: st.sampled_from([x, -x]))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_numbers_are_those_of_the_formulas(data):
    shape = data.draw(SHAPES)
    want, got = (data.draw(arrays.arrays(np.float32, shape, elements=NUMBERS)) for _ in range(2))
    found = differences(want, got, NOTHING)
    assert len(found) == shape[0]
    for difference, a, b in zip(found, want, got, strict=True):
        numbers = (difference.cosine, difference.psnr, difference.mean_error, difference.max_error)
        assert numbers == pytest.approx(formulas(a, b), rel=1e-6, abs=1e-9)
        assert difference.passed
    assert worst(found)["cosine"] == min(d.cosine for d in found)
    assert worst(found)["psnr"] == min(d.psnr for d in found)
    assert worst(found)["max_error"] == max(d.max_error for d in found)
    assert worst(found)["mean_error"] == pytest.approx(np.abs(want.astype(float) - got).mean(), rel=1e-6)


def test_what_is_equal_passes_everything():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5)).astype(np.float32)
    for limits in (Limits(cosine=1 - 1e-15), Limits(psnr=1e6), Limits(absolute=0, relative=0)):
        for difference in differences(x, x, limits):
            assert difference.passed
            assert (difference.psnr, difference.mean_error, difference.max_error) == (math.inf, 0, 0)
            assert difference.cosine == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "candidate", "both"])
@pytest.mark.parametrize("limits", [NOTHING, NETWORK["bfloat16"], OPERATOR["bfloat16"], PICTURE["bfloat16"]])
def test_what_is_not_finite_fails(poison, side, limits, capfd):
    want = np.random.default_rng(0).standard_normal((2, 3, 4))
    got = want.copy()
    for array in {"reference": [want], "candidate": [got], "both": [want, got]}[side]:
        array[1, 2, 3] = poison
    good, bad = differences(want, got, limits)
    assert good.passed
    assert not bad.passed
    assert not math.isfinite(worst([good, bad])["max_error"])
    assert not np.isfinite(worst([good, bad])["mean_error"])
    assert capfd.readouterr() == ("", "")


def test_one_bad_picture_among_many_fails():
    want = np.random.default_rng(0).standard_normal((50, 16))
    got = want.copy()
    got[7] = -got[7]
    found = differences(want, got, NETWORK["bfloat16"])
    assert [i for i, d in enumerate(found) if not d.passed] == [7]
    assert worst(found)["cosine"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("error", "limits", "passed"),
    [
        (0.9e-3, Limits(absolute=1e-3, relative=0), True),
        (1.1e-3, Limits(absolute=1e-3, relative=0), False),
        (1.1e-3, Limits(absolute=1e-3, relative=1e-2), True),  # of two
        (1.1e-3, Limits(absolute=0, relative=1e-4), False),
        (1e-3, Limits(psnr=62), True),  # 10·log10(2² / (1e-6 · 1/4)) = 72.04 dB for one of four
        (1e-3, Limits(psnr=73), False),
        (0.5, Limits(cosine=0.99), True),
        (0.5, Limits(cosine=0.999), False),
    ],
)
def test_limits(error, limits, passed):
    want = np.full((1, 4), 2.0)
    got = want + np.array([0, error, 0, 0])
    assert [d.passed for d in differences(want, got, limits)] == [passed]


def test_zeros():
    zeros, ones = np.zeros((1, 4)), np.ones((1, 4))
    (same,) = differences(zeros, zeros, NETWORK["float32"])
    assert same.passed
    assert not differences(zeros, ones, NETWORK["bfloat16"])[0].passed
    assert not differences(ones, zeros, NETWORK["bfloat16"])[0].passed
    assert psnr(zeros, ones) == -math.inf


def test_psnr_of_pictures_is_over_white():
    black, grey = np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8)
    assert differences(black, grey, NOTHING, 255.0)[0].psnr == 0
    assert differences(grey, black, NOTHING, 255.0)[0].max_error == 255


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="cannot be compared"):
        differences(np.zeros((1, 4)), np.zeros((4, 1)), NOTHING)


def test_the_table_of_limits():
    for table in (NETWORK, PICTURE):
        assert tuple(table) == PRECISIONS
    assert set(PRECISIONS) - set(OPERATOR) == set(QUANTISED)  # it never is
    assert NETWORK["int8"].cosine == NETWORK["fp8"].cosine == 0.99
    assert NETWORK["float16"].cosine == 0.9999
    assert NETWORK["bfloat16"].cosine == 0.999
    assert NETWORK["float32"].cosine > NETWORK["float16"].cosine
    assert coarser("float32", "bfloat16") == coarser("bfloat16", "float16") == "bfloat16"
    assert Limits(cosine=0.5).named() == {"cosine": 0.5}


def test_an_old_polygraphy_is_said():
    code = "from polygraphy import comparator; del comparator.CosineSimilarityCompareFunc; import fdcn.verify.metrics"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "FdcnError: this Polygraphy is older than 0.53: pip install --upgrade 'fdcn[verify]'" in done.stderr
