"""Pictures as files: what they hold, and what a format cannot hold."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fdcn.serve import encode
from fdcn.serve.generator import Encoding, Refused

PARAMETERS = {"labels": ["Disc", "Étoile"], "seeds": [3, 2**64 - 1], "size": [8, 9], "solver": "neural"}


def picture(channels: int, size: tuple[int, int] = (8, 9)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)


def read(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as opened:
        pixels = np.array(opened)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel(channels):
    pixels = picture(channels)
    np.testing.assert_array_equal(read(encode.encode(pixels, Encoding())), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_lossy_formats_are_near_and_smaller_with_less_quality(format, channels):
    y, x = np.mgrid[:48, :64]
    pixels = np.repeat((2 * x + 2 * y)[:, :, None].astype(np.uint8), channels, 2)
    sizes = []
    for compression in (None, 100, 50, 0):
        file = encode.encode(pixels, Encoding(format, compression))
        with Image.open(io.BytesIO(file)) as opened:
            assert opened.format == format.upper()
            assert opened.size == (64, 48)
            near = np.abs(np.array(opened.convert("L")).astype(int) - pixels[:, :, 0]).mean()
        assert compression == 0 or near < 6
        sizes.append(len(file))
    assert sizes[1] > sizes[2] > sizes[3]


def test_each_png_says_what_made_it_alone():
    for i, own in enumerate(encode.of_each(PARAMETERS)):
        with Image.open(io.BytesIO(encode.encode(picture(1), Encoding(), own))) as opened:
            said = json.loads(opened.text["fdcn"])
            assert opened.text["Software"].startswith("fdcn ")
        assert said == {**PARAMETERS, "labels": [PARAMETERS["labels"][i]], "seeds": [PARAMETERS["seeds"][i]]}


@given(st.integers(1, 70_000), st.integers(1, 70_000), st.sampled_from(["png", "jpeg", "webp"]))
def test_what_a_format_cannot_hold_is_refused(width, height, format):
    holds = max(width, height) <= {"png": 70_000, "jpeg": 65_500, "webp": 16_383}[format]
    if holds:
        encode.check(Encoding(format), (width, height))
    else:
        with pytest.raises(Refused, match=f"{width}x{height} does not fit into {format}.*ask for png") as refused:
            encode.check(Encoding(format), (width, height))
        assert refused.value.param == "output_format"


@pytest.mark.parametrize(("format", "most"), [("jpeg", 65_500), ("webp", 16_383)])
def test_the_longest_side_is_what_pillow_takes(format, most):
    assert read(encode.encode(picture(1, (most, 1)), Encoding(format))).shape[1] == most
    with pytest.raises((ValueError, OSError)):
        encode.encode(picture(1, (most + 100, 1)), Encoding(format))


def test_an_array_is_read_back_without_pickle():
    array = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(np.load(io.BytesIO(encode.encode_array(array)), allow_pickle=False), array)
