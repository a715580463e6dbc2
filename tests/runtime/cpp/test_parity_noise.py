"""Philox words and uniforms to the bit, and normals to the last one, from C++."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.runtime import noise


def made(parity, seed, step, draw, quads, start=0):
    """Words [quads, 4], uniforms [2·quads, 2] and normals [4·quads] of C++."""
    answer = parity("noise", seed=str(seed), step=step, draw=draw, quads=quads, **{"from": start})
    kinds = {"words": np.uint32, "uniforms": np.float64, "normals": np.float32}
    words, uniforms, normals = (np.frombuffer(bytes.fromhex(answer[name]), kind) for name, kind in kinds.items())
    return words.reshape(-1, 4), uniforms.reshape(-1, 2), normals


def assert_same(parity, seed, step, draw, elements):
    quads = -(-elements // 4)
    words, uniforms, normals = made(parity, seed, step, draw, quads)
    wanted = noise.words(seed, step, draw, elements)
    np.testing.assert_array_equal(words, wanted)
    np.testing.assert_array_equal(uniforms.view(np.uint64), noise.uniforms(wanted).view(np.uint64))
    # NumPy's logarithm and cosine are its own, and the C library's are another's: float64 may differ in its last bits.
    np.testing.assert_array_max_ulp(normals[:elements], noise.normals(seed, step, draw, (elements,)), maxulp=1)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1, 0x9E3779B97F4A7C15])
@pytest.mark.parametrize(("step", "draw"), [(0, 0), (1, 0), (1, 1), (19_999, 1)])
def test_noise(parity, seed, step, draw):
    assert_same(parity, seed, step, draw, 4099)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 20_000), st.integers(0, 1), st.integers(1, 600))
def test_any_noise(parity, seed, step, draw, elements):
    assert_same(parity, seed, step, draw, elements)


@pytest.mark.parametrize("start", [2**31 - 2, 2**32 - 4])
def test_words_far_into_an_image(parity, start):
    words, _, normals = made(parity, 7, 3, 1, 4, start)
    counters = np.array([[start + i, 3, 1, 0] for i in range(4)], np.uint32)
    np.testing.assert_array_equal(words, noise.philox4x32(counters, (7, 0)))
    assert np.isfinite(normals).all()


def test_the_known_answer(parity):
    """Random123's test vector of philox4x32-10 for counter and key zero."""
    words, _, _ = made(parity, 0, 0, 0, 1)
    assert [f"{word:08x}" for word in words[0]] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
