"""The operator's cases: what they hold, and that they tell a wrong operator from a right one."""

import numpy as np
import pytest

from fdcn.errors import FdcnError
from fdcn.plugins import reference, spec
from fdcn.plugins.reference import multi_scale_dcn
from fdcn.verify.limits import OPERATOR
from fdcn.verify.metrics import differences
from fdcn.verify.one_operator import Layout, layouts
from fdcn.verify.operator_cases import TYPES, cases
from fdcn.verify.run_operator import in_onnx_runtime

LAYOUTS = [Layout(4, 16, 9), Layout(1, 1, 1), Layout(3, 5, 25)]


def oracle(layout, case, precision="float32"):
    projection = case["projection"].astype(TYPES[precision])
    return multi_scale_dcn(projection, case["prior"], case["s_max"], layout.groups, layout.taps).astype(np.float32)


def passed(want, got, precision):
    return all(d.passed for d in differences(want[None], got[None], OPERATOR[precision]))


@pytest.mark.parametrize("precision", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_are_float32_that_the_precision_holds(layout, precision):
    made = cases(layout, precision)
    assert {"random", "edges", "not finite"} <= set(made)
    for case in made.values():
        assert {array.dtype for array in case.values()} == {np.dtype(np.float32)}
        projection = case["projection"]
        np.testing.assert_array_equal(projection.astype(TYPES[precision]).astype(np.float32), projection)
        # The edges are exact in every precision, else they would be no edges.
        want, rounded = oracle(layout, case), oracle(layout, case, precision)
        assert np.isfinite(want).all()
        assert passed(want, rounded, precision)
    assert not np.isfinite(made["not finite"]["projection"]).all()


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_onnx_runtime_runs_them_like_the_oracle(layout, precision, tmp_path):
    made = cases(layout, precision)
    outputs = in_onnx_runtime(precision, native=False)(layout, list(made.values()), tmp_path)
    for case, got in zip(made.values(), outputs, strict=True):
        assert passed(oracle(layout, case), got, precision)


def test_the_native_operator_runs_them_like_the_oracle(native_operator, tmp_path):
    made = cases(LAYOUTS[0], "float32")
    outputs = in_onnx_runtime("float32", native=True)(LAYOUTS[0], list(made.values()), tmp_path)
    for case, got in zip(made.values(), outputs, strict=True):
        assert passed(oracle(LAYOUTS[0], case), got, "float32")


WRONG = {
    "floor": ("trunc", np.floor),
    "a narrower border": ("LOWER_BOUND", -1),
    "the borders of other operators": ("_counts", lambda p, size: (p > -1) & (p < size - 1)),
}


@pytest.mark.parametrize("precision", TYPES)
@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_border_is_found(mistake, precision, monkeypatch):
    made = cases(LAYOUTS[0], precision)
    right = {name: oracle(LAYOUTS[0], case) for name, case in made.items()}
    name, value = WRONG[mistake]
    monkeypatch.setattr(next(place for place in (reference, spec, np) if hasattr(place, name)), name, value)
    found = {name for name, case in made.items() if not passed(right[name], oracle(LAYOUTS[0], case), precision)}
    assert "edges" in found


@pytest.mark.parametrize("precision", TYPES)
def test_half_precision_coordinates_are_found(precision):
    made = cases(LAYOUTS[0], precision)
    case = made["random"]
    sloppy = {**case, "s_max": case["s_max"].astype(np.float16).astype(np.float32)}
    assert not passed(oracle(LAYOUTS[0], case), oracle(LAYOUTS[0], sloppy), precision)


def test_layouts_are_those_of_the_network(tiny_bundle, shipped_bundle):
    assert layouts(tiny_bundle) == [Layout(4, 16, 9)]
    assert layouts(shipped_bundle) == [Layout(4, 24, 9)]


def test_a_network_without_the_operator_is_refused(tiny_bundle, monkeypatch):
    monkeypatch.setattr("fdcn.verify.one_operator.spec.NAME", "Other")
    with pytest.raises(FdcnError, match="has no fdcn::Other"):
        layouts(tiny_bundle)
