"""Profiles: how they are written, checked against a model's grid, and turned into a graph's axes."""

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fdcn.bundle import Extent, Profile
from fdcn.errors import FdcnError
from fdcn.export import profiles

SIDES = st.integers(1, 4096)
BATCHES = st.integers(1, 64)
EXTENTS = st.builds(Extent, SIDES, SIDES, BATCHES)


@st.composite
def ordered(draw, unit=1):
    """A profile whose sides are on a grid."""
    columns = [sorted(draw(st.tuples(*[st.integers(1, 64)] * 3))) for _ in range(3)]
    return Profile(*(Extent(w * unit, h * unit, n) for w, h, n in zip(*columns, strict=True)))


@pytest.fixture(scope="module")
def manifest(tiny_bundle):
    """A model of 4 latent channels and patch 2 without a VAE: its grid is 16 pixels."""
    return tiny_bundle.manifest


@given(ordered())
def test_a_profile_is_read_as_it_is_written(profile):
    assert profiles.parse_profile(str(profile)) == profile


@given(st.lists(EXTENTS, min_size=3, max_size=3))
def test_what_goes_down_is_refused(extents):
    columns = list(zip(*map(dataclasses.astuple, extents), strict=True))
    assume(any(column != tuple(sorted(column)) for column in columns))
    with pytest.raises(ValueError, match="goes down from"):
        profiles.parse_profile(":".join(map(str, extents)))


@given(st.text(alphabet="0123456789x:X× -", max_size=24))
def test_any_text_is_read_or_refused_in_a_sentence(text):
    try:
        profile = profiles.parse_profile(text)
    except ValueError as error:
        assert "such as" in str(error) or "goes down" in str(error) or "at least 1" in str(error)
    else:
        assert profile.holds(profile.opt)


@pytest.mark.parametrize(
    ("text", "batches"),
    [
        ("64x64:64x64:64x64", (1, 2, 8)),
        ("64x64x4:64x64:64x64", (4, 4, 8)),
        ("64x64:64x64x16:64x64", (1, 16, 16)),
        ("64x64:64x64:64x64x1", (1, 1, 1)),
        (" 64X64 : 64×64x3 : 64x64x3 ", (1, 3, 3)),
    ],
)
def test_batches_that_are_not_said(text, batches):
    profile = profiles.parse_profile(text)
    assert (profile.min.batch, profile.opt.batch, profile.max.batch) == batches


@given(ordered(unit=16))
def test_sizes_on_the_grid_are_taken(manifest, profile):
    assert profiles.resolve(manifest, [profile]) == [profile]


@given(ordered(), st.sampled_from(["width", "height"]), st.integers(1, 15))
def test_sizes_off_the_grid_are_refused_with_those_that_are_near(manifest, profile, side, off):
    extent = dataclasses.replace(profile.min, **{side: getattr(profile.min, side) * 16 + off})
    with pytest.raises(FdcnError, match="off the model's grid of 16 pixels; take ") as refusal:
        profiles.resolve(manifest, [Profile(extent, extent, extent)])
    for text in str(refusal.value).rpartition("take ")[2].removesuffix(", which holds it").split(" or "):
        width, height = map(int, text.split("x"))
        assert width % 16 == height % 16 == 0
        assert abs(width - extent.width) < 16
        assert abs(height - extent.height) < 16


def test_the_default_covers_the_aspect_ratios(manifest):
    (profile,) = profiles.resolve(manifest, [])
    assert str(profile) == "80x80x1:256x256x2:768x768x8"
    for width, height in ((256, 256), (768, 256), (256, 768), (256, 96), (512, 256)):
        assert profile.holds(Extent(width, height, 2))


@given(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), st.sampled_from([1, 2, 8]))
def test_any_training_size_has_a_default(manifest, size, factor):
    other = dataclasses.replace(manifest, train_size=list(size), pixel_factor=factor)
    profile = profiles.default(other)
    assert profiles.resolve(other, [profile]) == [profile]
    assert profiles.parse_profile(str(profile)) == profile


def test_a_bundle_of_one_size(manifest):
    fixed = dataclasses.replace(manifest, fixed_size=[250, 120])
    assert str(profiles.default(fixed)) == "256x128x1:256x128x2:256x128x8"
    with pytest.raises(FdcnError, match=r"256x128 alone.*--dynamic-shape"):
        profiles.resolve(fixed, [profiles.parse_profile("256x128:256x128:512x128")])


def test_a_profile_twice(manifest):
    profile = profiles.default(manifest)
    with pytest.raises(FdcnError, match="twice"):
        profiles.resolve(manifest, [profile, profile])


def test_axes_of_the_graphs():
    asked = [profiles.parse_profile("64x128:96x128:128x256x4"), profiles.parse_profile("8x8x2:8x8x2:8x8x2")]
    first, second = profiles.axes("denoiser", asked, 8)
    assert first == {"batch": (1, 2, 4), "height": (16, 16, 32), "width": (8, 12, 16)}
    assert second == {"batch": (2, 2, 2), "height": (1, 1, 1), "width": (1, 1, 1)}
    assert [axes["batch"] for axes in profiles.axes("decoder", asked, 8)] == [(1, 1, 1)] * 2
    assert len(profiles.axes("conditioner", asked, 8)) == 1
