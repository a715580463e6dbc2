"""INT8 beside float32 on this CPU, on the shipped model: what is compared is what was built; the limits' sums."""

import shutil

import bench_int8
import int8_limits
import machine
import numpy as np
import pytest
import quantised_tables

from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime
from fdcn.export.quantised_graphs import int8


@pytest.fixture
def bundles(native_operator, shipped_bundle, calibrated_bundle, tmp_path):
    made = {}
    for name, source, quantise in (("float32", shipped_bundle, None), ("int8", calibrated_bundle, int8)):
        copy = Bundle.open(shutil.copytree(source.path, tmp_path / name))
        made[name] = build_onnxruntime(copy, native=True, quantise=quantise)
    return made


@pytest.fixture
def measured(bundles, monkeypatch):
    monkeypatch.setattr(bench_int8, "CASES", {bench_int8.MAIN: (28, 2)})
    monkeypatch.setattr(int8_limits, "SIDES", (32,))
    return bench_int8.measure(bundles, 2)


def test_int8_is_compared_and_timed_beside_float32(measured, bundles):
    blocks = bundles["int8"].manifest.model.blocks
    assert set(measured["cases"]) == {"256 px", "256 px, one thread"}
    for case in measured["cases"].values():
        assert case["cosine"]["float32"] == pytest.approx(1)
        assert 0.99 <= case["cosine"]["int8"] < 1
        assert len(case["seconds"]["int8"]["samples"]) == 2 * bench_int8.IN_A_ROW
        medians = {name: entry["median"] for name, entry in case["seconds"].items()}
        assert case["over_float32"] == {"int8": medians["float32"] / medians["int8"]}
    assert measured["limits"]["int8"]["quantised"] == 5 * blocks
    assert measured["limits"]["float32"]["quantised"] == 0
    assert "MatMulIntegerToFloat" in measured["limits"]["int8"]["operators"]
    assert "MatMulIntegerToFloat" not in measured["limits"]["float32"]["operators"]


def test_the_limit_is_the_sum_of_products_each_at_its_rate(bundles):
    model = bundles["int8"].manifest.model
    one = {"float32": 1.0, "int8": np.inf}
    kept = int8_limits.limit(bundles["int8"], "int8", 3, one)["seconds"]
    assert kept == 3 * 2 * model.channels * model.patch**2 * model.architecture["hidden"]
    whole = int8_limits.limit(bundles["float32"], "float32", 3, one)["seconds"]
    fast = int8_limits.limit(bundles["int8"], "int8", 3, {"float32": 1.0, "int8": 4.0})["seconds"]
    assert fast == kept + (whole - kept) / 4


def test_another_engine_than_the_one_named_is_not_profiled(bundles):
    with pytest.raises(AssertionError, match="float32 is not what"):
        int8_limits.profile(bundles["int8"], "float32", {})


def test_time_by_operator_is_the_sum_of_medians():
    def event(name, seconds, operator="Add", cat="Node", suffix="_kernel_time"):
        return {"cat": cat, "name": name + suffix, "dur": 1e6 * seconds, "args": {"op_name": operator}}

    events = [event("a", t) for t in (1, 9, 2)] + [event("b", 4), event("c", 7, "Mul"), event("d", 9, cat="Session")]
    told = int8_limits.by_operator([*events, event("a", 100, suffix="_fence_before")])
    assert list(told) == ["Mul", "Add"]
    assert told == {"Mul": pytest.approx(7), "Add": pytest.approx(6)}


def test_the_tables_show_what_was_measured(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    machine.write("int8", machine.describe(["onnxruntime"]) | {"model": "tiny"} | measured)
    lines = quantised_tables.int8().splitlines()
    assert lines[3] == "|---|--:|--:|--:|--:|"
    assert lines[5].startswith("| 256 px, int8 | 55 of 57 |")
    assert quantised_tables.int8_operators().splitlines()[2].startswith("| ")
    row = {"seconds": 90.0, "cpu_seconds": 120.0, "peak_bytes": 1.5e9}
    machine.write("calibrate", machine.describe([]) | {"model": "S/2", "steps": 10, "samples": {"8": row}})
    assert quantised_tables.calibrate().endswith("| 8 | 1.5 min | 2.0 min | 1.50 GB |")
    assert quantised_tables.fp8().startswith("Not yet measured")
