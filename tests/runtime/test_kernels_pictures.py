"""The sampler's other kernels, which move rows and make pictures, run on a CPU, against what NumPy computes."""

import numpy as np
import pytest
from device_memory import STREAM

from fdcn.runtime.images import latent_preview, to_pixels


@pytest.mark.parametrize("width", [1, 5, 8, 100])
def test_rows_by_number(kernels, memory, width):
    rng = np.random.default_rng(width)
    source, rows = memory(rng.standard_normal((6, width), np.float32))
    numbers, order = memory(np.array([3, 0, 3, 5], np.int32))
    target, got = memory(np.zeros((4, width), np.float32))
    kernels.gather(numbers, source, target, 4, width, STREAM)
    np.testing.assert_array_equal(got, rows[order])
    places, _ = memory(np.array([5, -1, 0, 2], np.int32))
    back, spread = memory(np.full((6, width), 9, np.float32))
    kernels.scatter(places, target, back, 4, width, STREAM)
    np.testing.assert_array_equal(spread[[5, 0, 2]], got[[0, 2, 3]])
    assert (spread[[1, 3, 4]] == 9).all()


def halfway():
    """Values whose level lies in float32 exactly between two bytes, above an even one."""
    above = np.arange(64, 255, 2, dtype=np.float32) + np.float32(0.5)
    values = above / np.float32(127.5) - 1
    return values[(values + 1) * np.float32(127.5) == above][:40]


HALFWAY = halfway()


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels(kernels, memory, channels):
    picture = np.random.default_rng(0).uniform(-1.4, 1.4, (2, channels, 6, 8)).astype(np.float32)
    picture[0, 0].flat[: len(HALFWAY)] = HALFWAY
    assert len(HALFWAY) > 20
    picture[1, 0, 0, :4] = np.inf, -np.inf, 1e30, -0.0
    source, _ = memory(picture)
    target, got = memory(np.full((2, 5, 7, channels), 99, np.uint8))
    kernels.to_pixels(source, target, 2, picture.shape[1:], (7, 5), STREAM)
    np.testing.assert_array_equal(got, to_pixels(picture, (7, 5)))


def test_a_pixel_that_is_no_number_is_black(kernels, memory):
    source, _ = memory(np.full((1, 1, 1, 2), np.nan, np.float32))
    target, got = memory(np.full((1, 1, 2, 1), 99, np.uint8))
    kernels.to_pixels(source, target, 1, (1, 1, 2), (2, 1), STREAM)
    assert (got == 0).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_latents_preview(kernels, memory, channels):
    latent = np.random.default_rng(channels).standard_normal((2, channels, 3, 2), np.float32) * 3
    source, _ = memory(latent)
    target, got = memory(np.zeros((2, 3, 12, 8), np.float32))
    kernels.latent_preview(source, target, 2, channels, 3, 2, 4, STREAM)
    np.testing.assert_array_equal(got, latent_preview(latent, 4))


@pytest.mark.parametrize(("value", "want"), [(1e38, 0), (np.inf, 1), (-np.inf, 1), (np.nan, 1)])
def test_what_is_not_finite_is_found(kernels, memory, value, want):
    numbers = np.zeros(1000, np.float32)
    numbers[777] = value
    source, _ = memory(numbers)
    flag, got = memory(np.zeros(1, np.int32))
    kernels.find_not_finite(source, 1000, flag, STREAM)
    assert got[0] == want


def test_nothing_to_do_launches_nothing(kernels):
    kernels.gather(0, 0, 0, 0, 16, STREAM)
    kernels.find_not_finite(0, 0, 0, STREAM)
