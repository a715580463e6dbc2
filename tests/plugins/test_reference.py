"""The NumPy oracle against arrays of the released code, and against a scalar loop."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import (
    BORDERS,
    LAYOUTS,
    TOLERANCES,
    assert_close,
    assert_same,
    border_inputs,
    golden_case,
    random_inputs,
    scalar_multi_scale_dcn,
)

from fdcn.plugins.reference import multi_scale_dcn


@pytest.mark.parametrize("case", [0, 1, 2])
def test_golden(golden, case):
    inputs, groups, taps, want = golden_case(golden / f"op_{case}.npz")
    assert_close(multi_scale_dcn(*inputs, groups, taps), want, *TOLERANCES["golden"])
    assert_close(scalar_multi_scale_dcn(*inputs, groups, taps), want, *TOLERANCES["golden"])


@pytest.mark.parametrize(("shape", "groups", "channels", "taps"), LAYOUTS)
def test_layouts(shape, groups, channels, taps):
    inputs = random_inputs(shape, groups, channels, taps)
    assert_same(multi_scale_dcn(*inputs, groups, taps), scalar_multi_scale_dcn(*inputs, groups, taps))


@pytest.mark.parametrize("grid", [(3, 4), (1, 3), (1, 1)])
@pytest.mark.parametrize("border", BORDERS)
def test_borders(grid, border):
    inputs = border_inputs(*grid, **BORDERS[border])
    assert_same(multi_scale_dcn(*inputs, 1, 1), scalar_multi_scale_dcn(*inputs, 1, 1))


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_any_shape(shape, groups, channels, taps, seed):
    inputs = random_inputs(shape, groups, channels, taps, seed)
    assert_same(multi_scale_dcn(*inputs, groups, taps), scalar_multi_scale_dcn(*inputs, groups, taps))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_rounds_once(dtype):
    projection, prior, s_max = random_inputs((2, 5, 6), 2, 5, 9)
    projection = projection.astype(dtype)
    got = multi_scale_dcn(projection, prior, s_max, 2, 9)
    assert got.dtype == dtype
    assert_close(got, scalar_multi_scale_dcn(projection, prior, s_max, 2, 9), *TOLERANCES[got.dtype.name])
    np.testing.assert_array_equal(got, multi_scale_dcn(projection.astype(np.float32), prior, s_max, 2, 9).astype(dtype))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty(shape):
    assert multi_scale_dcn(*random_inputs(shape, 2, 3, 9), 2, 9).shape == (*shape, 6)


def test_an_outside_tap_ignores_its_weight_and_the_values():
    projection, prior, s_max = random_inputs((1, 2, 2), 1, 3, 1)
    projection[..., :3] = np.nan
    projection[..., 3:] = (1e9, 0, 0, np.inf)
    np.testing.assert_array_equal(multi_scale_dcn(projection, prior, s_max, 1, 1), 0)


@pytest.mark.parametrize(
    ("position", "want"),
    [(0.25, 12.5), (-0.25, 7.5), (-1.0, 0.0), (-1.25, -2.5), (-1.75, -7.5), (1.0, 20.0), (1.75, 5.0), (2.0, 0.0)],
)
def test_extrapolates_between_minus_two_and_zero(position, want):
    projection = np.zeros((1, 1, 2, 5), np.float32)
    projection[0, 0, :, 0] = 10, 20
    projection[0, 0, 0, 1:] = position, 0, 0, 1
    got = multi_scale_dcn(projection, np.zeros((1, 2), np.float32), np.full((1, 2), 2, np.float32), 1, 1)
    assert got[0, 0, 0, 0] == want


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"projection": np.zeros((2, 3, 57), np.float32)}, "projection has shape"),
        ({"projection": np.zeros((2, 3, 4, 57))}, "projection is float64"),
        ({"projection": np.zeros((2, 3, 4, 36), np.float32)}, "36 wide"),
        ({"projection": np.zeros((2, 3, 4, 75), np.float32)}, "75 wide"),
        ({"prior": np.zeros((2, 9), np.float32)}, r"prior is float32 \(2, 9\)"),
        ({"prior": np.zeros((9, 2))}, "prior is float64"),
        ({"s_max": np.zeros((1, 2), np.float32)}, r"s_max is float32 \(1, 2\)"),
        ({"groups": 0}, "0 groups"),
    ],
)
def test_refuses(replaced, message):
    names = ("projection", "prior", "s_max", "groups", "taps")
    arguments = dict(zip(names, (*random_inputs((2, 3, 4), 2, 3, 9), 2, 9), strict=True))
    with pytest.raises(ValueError, match=message):
        multi_scale_dcn(**{**arguments, **replaced})
