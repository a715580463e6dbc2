"""Statistics of activations against NumPy's own histogram and maxima, whatever the order they come in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fdcn.calib import statistics
from fdcn.calib.statistics import BINS, Measured, Statistics, bin_edges, histogram
from fdcn.errors import FdcnError

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
TENSORS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=4, max_side=6), elements=FINITE)


def by_search(x):
    """The histogram, found by searching for each magnitude among the edges."""
    numbers = np.searchsorted(bin_edges(), np.abs(x.astype(np.float64)).ravel(), side="right") - 1
    return np.bincount(np.minimum(numbers, BINS - 1), minlength=BINS)


@settings(deadline=None)
@given(TENSORS)
def test_the_histogram_is_what_a_search_finds(x):
    found = histogram(x)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, by_search(x))


def test_the_histogram_at_the_edges_of_bins_and_of_float32():
    edges = bin_edges()[1:].astype(np.float32)
    info = np.finfo(np.float32)
    special = np.array([0, -0.0, info.smallest_subnormal, info.tiny, info.max, -info.max], np.float32)
    near = [np.nextafter(edges, np.float32(side)) for side in (0, np.inf)]
    x = np.concatenate([special, edges, -edges, *near])
    np.testing.assert_array_equal(histogram(x), by_search(x))


def test_bins_are_fine():
    edges = bin_edges()
    assert edges[0] == 0
    assert (edges[1], edges[-1]) == (2.0**-24, 2.0**24)
    widths = np.diff(edges[1:]) / edges[1:-1]
    assert widths.min() >= 1 / 64
    assert widths.max() <= 1 / 32
    assert len(edges) == BINS + 1


def same(a, b):
    for x, y in zip(a.arrays().values(), b.arrays().values(), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype


def nothing(times=(0.0, 0.5)):
    return Statistics.empty(np.array(times, np.float32), {("a",): 5, ("b.w1", "b.w3"): 3}, {"seed": "0"})


@settings(deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_neither_order_nor_batches_matter(data, first, second):
    x = data.draw(arrays.arrays(np.float32, (first + second, 2, 3), elements=FINITE))
    order = data.draw(st.permutations(range(len(x))))
    whole, parts = Measured.empty(["a"], 2, 3), Measured.empty(["a"], 2, 3)
    assert whole.add(1, x)
    for part in np.split(x[order], [first]):
        assert parts.add(1, part)
    same(Statistics(np.zeros(2), [whole], {}), Statistics(np.zeros(2), [parts], {}))
    np.testing.assert_array_equal(whole.channels[1], np.abs(x).max((0, 1)))
    assert (whole.low[1], whole.high[1], whole.largest[1]) == (x.min(), x.max(), np.abs(x).max())
    assert not whole.counts[0].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_whole(bad):
    found = nothing()
    x = np.ones((4, 5), np.float32)
    x[2, 3] = bad
    assert not found.activations[0].add(0, x)
    same(found, nothing())


def test_a_file_gives_the_statistics_back(tmp_path):
    wanted = nothing()
    for i, k in enumerate((5, 3)):
        assert wanted.activations[i].add(i, np.random.default_rng(i).standard_normal((2, 7, k), dtype=np.float32))
    wanted.save(tmp_path / "s.npz")
    found = statistics.load(tmp_path / "s.npz")
    same(found, wanted)
    np.testing.assert_array_equal(found.times, wanted.times)
    assert [layer.products for layer in found.activations] == [("a",), ("b.w1", "b.w3")]
    assert found.settings == {"seed": "0"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None, "short", "changed"])
def test_a_damaged_file_is_an_error(tmp_path, content):
    path = tmp_path / "s.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        nothing().save(path)
        whole = bytearray(path.read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 40] = b"\xff" * 40
        path.write_bytes(whole[:middle] if content == "short" else whole)
    with pytest.raises(FdcnError, match="run fdcn calibrate again"):
        statistics.load(path)


def test_another_version_is_an_error(tmp_path, monkeypatch):
    nothing().save(tmp_path / "s.npz")
    monkeypatch.setattr(statistics, "VERSION", 2)
    with pytest.raises(FdcnError, match="version 1, this fdcn reads 2"):
        statistics.load(tmp_path / "s.npz")
