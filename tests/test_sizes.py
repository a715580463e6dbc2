"""Sizes as text, and latents that cover them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdcn.sizes import format_size, latent_size, parse_size

SIDES = st.integers(1, 5000)


@given(SIDES, SIDES)
def test_round_trip(width, height):
    assert parse_size(format_size((width, height))) == (width, height)


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_a_reason(text):
    try:
        width, height = parse_size(text)
    except ValueError as error:
        assert str(error)
    else:
        assert width > 0
        assert height > 0


@pytest.mark.parametrize("text", ["0x0", "512", "512×abc", "x", "-4x4", "4x4x4", "1e3x5", "٣x٣", ""])
def test_refused(text):
    with pytest.raises(ValueError, match=r"WIDTHxHEIGHT|no pixels"):
        parse_size(text)


@given(SIDES, SIDES, st.sampled_from([1, 2, 4]), st.sampled_from([1, 8]))
def test_latent_covers_the_picture_and_no_more(width, height, patch, factor):
    h, w = latent_size((width, height), patch, factor)
    assert h % patch == 0
    assert w % patch == 0
    assert 0 <= w * factor - width < patch * factor
    assert 0 <= h * factor - height < patch * factor
