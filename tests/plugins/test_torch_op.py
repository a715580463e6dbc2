"""The torch operator and its eager form against the oracle, and its gradient against autograd."""

import numpy as np
import pytest
import torch
from oracles import (
    BORDERS,
    LAYOUTS,
    TOLERANCES,
    assert_close,
    assert_same,
    border_inputs,
    golden_case,
    planted_inputs,
    random_inputs,
    scalar_multi_scale_dcn,
)

from fdcn.plugins import torch_op
from fdcn.plugins.reference import multi_scale_dcn

FORMS = {"operator": torch_op.multi_scale_dcn, "eager": torch_op.multi_scale_dcn_eager}
COMPILED = [LAYOUTS[1], LAYOUTS[5]]  # numba takes seconds to compile each layout


def run(form, inputs, groups, taps):
    return FORMS[form](*map(torch.from_numpy, inputs), groups, taps)


@pytest.mark.parametrize(("form", "case"), [("operator", 0), ("eager", 0), ("eager", 1), ("eager", 2)])
def test_golden(golden, form, case):
    inputs, groups, taps, want = golden_case(golden / f"op_{case}.npz")
    assert_close(run(form, inputs, groups, taps).numpy(), want, *TOLERANCES["golden"])


@pytest.mark.parametrize(
    ("form", "layout"), [*(("eager", layout) for layout in LAYOUTS), *(("operator", layout) for layout in COMPILED)]
)
def test_layouts(form, layout):
    shape, groups, channels, taps = layout
    inputs = random_inputs(shape, groups, channels, taps)
    assert_same(run(form, inputs, groups, taps).numpy(), scalar_multi_scale_dcn(*inputs, groups, taps))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("grid", [(3, 4), (1, 3), (1, 1)])
@pytest.mark.parametrize("border", BORDERS)
def test_borders(form, grid, border):
    inputs = border_inputs(*grid, **BORDERS[border])
    assert_same(run(form, inputs, 1, 1).numpy(), scalar_multi_scale_dcn(*inputs, 1, 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(form, dtype):
    shape, groups, channels, taps = COMPILED[0]
    projection, prior, s_max = map(torch.from_numpy, random_inputs(shape, groups, channels, taps))
    stored = projection.to(dtype)
    got = FORMS[form](stored, prior, s_max, groups, taps)
    assert got.dtype == dtype
    want = scalar_multi_scale_dcn(stored.float().numpy(), prior.numpy(), s_max.numpy(), groups, taps)
    assert_close(got.float().numpy(), want, *TOLERANCES[str(dtype).removeprefix("torch.")])


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
@pytest.mark.parametrize("form", FORMS)
def test_empty(form, shape):
    _, groups, channels, taps = COMPILED[0]
    inputs = random_inputs(shape, groups, channels, taps)
    assert run(form, inputs, groups, taps).shape == (*shape, groups * channels)


@pytest.mark.parametrize("layout", COMPILED)
def test_operator_without_numba_is_the_eager_form(monkeypatch, layout):
    shape, groups, channels, taps = layout
    inputs = random_inputs(shape, groups, channels, taps)
    monkeypatch.setattr(torch_op, "_compiled", lambda projection: False)
    assert torch.equal(run("operator", inputs, groups, taps), run("eager", inputs, groups, taps))


def gradient(form, inputs, groups, taps, seed=0):
    """Gradient of the projection under a random gradient of the output."""
    projection, prior, s_max = map(torch.from_numpy, inputs)
    projection.requires_grad_()
    out = FORMS[form](projection, prior, s_max, groups, taps)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(seed)))
    return projection.grad.numpy()


@pytest.mark.parametrize("compiled", [True, False], ids=["numba", "torch"])
def test_gradient_is_autograds(monkeypatch, compiled):
    shape, groups, channels, taps = (2, 5, 6), *COMPILED[0][1:]
    inputs = random_inputs(shape, groups, channels, taps)
    want = gradient("eager", inputs, groups, taps)
    if not compiled:
        monkeypatch.setattr(torch_op, "_compiled", lambda projection: False)
    assert_close(gradient("operator", inputs, groups, taps), want, *TOLERANCES["gradient"])


@pytest.mark.parametrize("border", BORDERS)
def test_gradient_at_the_borders(border):
    inputs = border_inputs(3, 4, **BORDERS[border])
    got, want = gradient("operator", inputs, 1, 1), gradient("eager", inputs, 1, 1)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    assert_close(got[finite], want[finite], *TOLERANCES["gradient"])


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_a_tap_that_does_not_count_is_zero(form):
    """Whatever it holds, and whatever the values hold that it does not read."""
    projection, prior, s_max = random_inputs((1, 3, 4), 1, 5, 9)
    taps = projection[..., 5:].reshape(1, 3, 4, 9, 4)
    counting = gradient(form, (projection, prior, s_max), 1, 9)[..., 5:].reshape(taps.shape)[..., :8, :]
    taps[..., 8, :] = [[np.nan, 0, 0, 1], [0, np.inf, 0, np.nan], [1e30, 0, 0, np.inf], [0, 99, 99, np.nan]]
    found = gradient(form, (projection, prior, s_max), 1, 9)
    assert np.isfinite(found).all()
    found = found[..., 5:].reshape(taps.shape)
    np.testing.assert_array_equal(found[..., 8, :], 0)
    np.testing.assert_array_equal(found[..., :8, :], counting)


def test_eager_gradient_is_the_slope():
    """Against central differences of the oracle, at positions whose cell a small step does not change."""
    rng = np.random.default_rng(1)
    offset = rng.integers(-4, 4, (1, 4, 5, 2, 9, 2)) + rng.uniform(0.2, 0.8, (1, 4, 5, 2, 9, 2))
    inputs = planted_inputs(rng.standard_normal((1, 4, 5, 2, 5)), offset, rng.standard_normal((1, 4, 5, 2, 9)))
    projection, prior, s_max = inputs
    grad_out = torch.randn(1, 4, 5, 10, generator=torch.Generator().manual_seed(0)).numpy()
    step = 1e-3 * rng.standard_normal(projection.shape).astype(np.float32)
    ahead, behind = (scalar_multi_scale_dcn(p, prior, s_max, 2, 9) for p in (projection + step, projection - step))
    slope = ((ahead - behind) / 2 * grad_out).sum()
    assert (gradient("eager", inputs, 2, 9, seed=0) * step).sum() == pytest.approx(slope, rel=1e-3)


def test_opcheck():
    shape, groups, channels, taps = COMPILED[0]
    projection, prior, s_max = map(torch.from_numpy, random_inputs(shape, groups, channels, taps))
    projection.requires_grad_()
    torch.library.opcheck(torch_op.multi_scale_dcn, (projection, prior, s_max, groups, taps))


def test_a_view_is_read_by_its_strides():
    shape, groups, channels, taps = (2, 3, 4), *COMPILED[0][1:]
    projection, prior, s_max = random_inputs(shape, groups, channels, taps)
    backwards = torch.from_numpy(projection.swapaxes(1, 2).copy()).transpose(1, 2)
    for form in FORMS.values():
        got = form(backwards, torch.from_numpy(prior), torch.from_numpy(s_max), groups, taps)
        assert_same(got.numpy(), multi_scale_dcn(projection, prior, s_max, groups, taps))
