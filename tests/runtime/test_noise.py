"""Philox against Random123's published vectors, and the normals of the design's table."""

import numpy as np
import pytest

from fdcn.runtime.noise import normals, philox4x32, words

F = 0xFFFFFFFF
RANDOM123 = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((F, F, F, F), (F, F), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
FDCN = [
    (0, 0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8", "3f7dbb33 bf6cb6b0 bf1e1b9f bef6d1b2"),
    (1, 0, 0, 4, "ac08141b dfc5ccbe 79c07a47 a7f66093", "3f207fa8 bf224cc3 bf2da335 bf81aca0"),
    (0x123456789ABCDEF0, 7, 1, 4092, "f4de42f0 82ad5907 64d6748d 8a63ef09", "be98576f bca0639d bfa912f8 beb04e6f"),
]


def bits(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "want"), RANDOM123)
def test_philox_vectors(counter, key, want):
    np.testing.assert_array_equal(philox4x32(np.array([counter], np.uint32), key)[0], bits(want))


@pytest.mark.parametrize(("seed", "step", "draw", "element", "want_words", "want_normals"), FDCN)
def test_words_and_normals(seed, step, draw, element, want_words, want_normals):
    np.testing.assert_array_equal(words(seed, step, draw, element + 4)[element // 4], bits(want_words))
    got = normals(seed, step, draw, (element + 4,))[element:].view(np.uint32).astype(np.int64)
    assert np.abs(got - bits(want_normals)).max() <= 1  # one unit in the last place


def test_shape_and_length_do_not_move_an_element():
    whole = normals(5, 3, 1, (3, 5, 7))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole.ravel()[:13], normals(5, 3, 1, (13,)))


def test_they_are_standard_normals_and_draws_differ():
    z = np.stack([normals(9, step, draw, (100_000,)) for step, draw in ((0, 0), (1, 0), (1, 1))])
    assert np.isfinite(z).all()
    np.testing.assert_allclose(np.cov(z), np.eye(3), atol=0.02)
    np.testing.assert_allclose(z.mean(1), 0, atol=0.02)
    np.testing.assert_allclose((z**4).mean(1), 3, atol=0.15)
