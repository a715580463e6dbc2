"""Which profile a run takes, and in what parts."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from fdcn.bundle import Extent, Profile
from fdcn.export.profiles import parse_profile
from fdcn.runtime.backends.profiles import around, fit, nearest, split

SIDES, ROWS = st.integers(1, 40), st.integers(1, 12)


@st.composite
def a_profile(draw):
    sides, rows = (
        [sorted(draw(st.tuples(SIDES, SIDES, SIDES))) for _ in range(2)],
        sorted(draw(st.tuples(ROWS, ROWS, ROWS))),
    )
    return Profile(*(Extent(*extent) for extent in zip(*sides, rows, strict=True)))


EXTENTS = st.builds(Extent, SIDES, SIDES, st.integers(1, 30))


@given(st.integers(1, 200), st.integers(1, 20))
def test_parts_are_in_order_few_and_even(total, most):
    parts = split(total, most)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(total))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) <= most
    assert max(lengths) - min(lengths) <= 1
    assert (len(parts) - 1) * most < total


@given(st.lists(a_profile(), min_size=1, max_size=4), EXTENTS)
def test_every_part_lies_in_the_profile_that_is_taken(profiles, wanted):
    found = fit(profiles, wanted)
    if found is None:
        assert not any(profile.holds(wanted) for profile in profiles)
        return
    index, parts = found
    assert sum(part.stop - part.start for part in parts) == wanted.batch
    for part in parts:
        assert profiles[index].holds(dataclasses.replace(wanted, batch=part.stop - part.start))
    if any(profile.holds(wanted) for profile in profiles):
        assert len(parts) == 1


def test_of_profiles_that_hold_a_size_the_nearest_tuned_one_is_taken():
    profiles = [parse_profile(text) for text in ("8x8:28x28:84x84", "8x8:80x80:84x84", "8x8x1:28x28x16:84x84x16")]
    assert fit(profiles, Extent(28, 28, 2)) == (0, [slice(0, 2)])
    assert fit(profiles, Extent(84, 70, 2)) == (1, [slice(0, 2)])
    assert fit(profiles, Extent(28, 28, 12)) == (2, [slice(0, 12)])
    assert fit(profiles, Extent(28, 28, 20)) == (2, [slice(0, 10), slice(10, 20)])
    assert fit(profiles, Extent(86, 28, 2)) is None


def test_a_batch_whose_parts_would_be_too_small_fits_nowhere():
    only_full = [parse_profile("8x8x8:8x8x8:8x8x8")]
    assert fit(only_full, Extent(8, 8, 16)) == (0, [slice(0, 8), slice(8, 16)])
    assert fit(only_full, Extent(8, 8, 9)) is None


def test_the_nearest_profile_is_the_one_fewest_times_too_small():
    small, large = parse_profile("8x8:28x28:84x84"), parse_profile("100x100:128x128:256x256")
    assert nearest([small, large], Extent(90, 90, 2)) == small
    assert nearest([small, large], Extent(96, 96, 2)) == large
    assert nearest([small, large], Extent(600, 60, 2)) == large


@given(st.lists(a_profile(), min_size=1, max_size=4), EXTENTS)
def test_the_profile_that_is_proposed_takes_the_run(profiles, wanted):
    assert nearest(profiles, wanted) in profiles
    proposed = around(wanted)
    assert parse_profile(str(proposed)) == proposed
    assert fit([*profiles, proposed], wanted) is not None
