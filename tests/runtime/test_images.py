"""Pictures and files."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from fdcn.errors import FdcnError
from fdcn.runtime.grid import grid
from fdcn.runtime.images import Images, latent_preview, to_pixels
from fdcn.runtime.plan import Guidance
from fdcn.runtime.request import Request


def images(number, size=(7, 5), channels=3):
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (number, height, width, channels), np.uint8)
    request = Request(
        labels=tuple(range(number)),
        seeds=tuple(range(number)),
        size=size,
        latent=(height + 1, width + 1),
        solver="euler",
        steps=3,
        last_step=None,
        guidance=Guidance(),
        s_max_adjust=False,
        noise=None,
    )
    latents = np.zeros((number, channels, height + 1, width + 1), np.float32)
    return Images(pixels, latents, [pixels // 2, pixels // 3], request, [f"class {i}" for i in range(number)])


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_lossless_and_says_how_it_was_made(tmp_path, channels):
    made = images(1, channels=channels)
    with Image.open(made.save(tmp_path / "a.png")) as picture:
        np.testing.assert_array_equal(np.asarray(picture).reshape(made.pixels[0].shape), made.pixels[0])
        parameters = json.loads(picture.text["fdcn"])
    assert parameters["seeds"] == [0]
    assert parameters["size"] == [7, 5]
    assert parameters["solver"] == "euler"


@pytest.mark.parametrize(
    ("name", "format"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP"), ("a.png", "PNG")]
)
@pytest.mark.parametrize("number", [1, 3])
def test_formats(tmp_path, name, format, number):
    with Image.open(images(number).save(tmp_path / name)) as picture:
        assert picture.format == format
        picture.load()
        if number == 1:
            assert picture.size == (7, 5)


def test_unknown_ending_and_folders_that_are_not_there(tmp_path):
    with pytest.raises(FdcnError, match=r"\.png, \.jpg or \.webp"):
        images(1).save(tmp_path / "a.bmp")
    with pytest.raises(FdcnError, match="cannot write"):
        images(1).save(tmp_path / "missing" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_every_name_and_the_umask_are_taken(tmp_path):
    before = os.umask(0o026)
    try:
        path = images(1).save(tmp_path / ("x" * 251 + ".png"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_the_format_cannot_hold_leaves_nothing(tmp_path):
    with pytest.raises(FdcnError, match=r"use \.png"):
        images(1, size=(17000, 1)).save(tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


def test_preview_is_an_animation(tmp_path):
    with Image.open(images(2).save_preview(tmp_path / "a.gif")) as gif:
        assert gif.n_frames == 3


def test_grid_shows_every_picture_enlarged():
    pictures = [Image.new("L", (28, 28), level) for level in range(10, 110, 10)]
    sheet = grid(pictures, ["Sneaker"] * 10)
    colours = {colour for _, colour in sheet.getcolors(maxcolors=100_000)}
    assert {(level,) * 3 for level in range(10, 110, 10)} <= colours
    assert sheet.width > sheet.height


def test_to_pixels_rounds_clips_and_crops():
    picture = np.array([-2, -1, 0, 1, 2], np.float32).reshape(1, 1, 1, 5).repeat(3, 2)
    got = to_pixels(picture, (4, 2))
    assert got.shape == (1, 2, 4, 1)
    np.testing.assert_array_equal(got[0, 0, :, 0], [0, 0, 128, 255])


def test_latent_preview_is_rgb_at_pixel_size():
    got = latent_preview(np.full((1, 4, 2, 3), 6.0, np.float32), 8)
    assert got.shape == (1, 3, 16, 24)
    assert got.max() == 1
