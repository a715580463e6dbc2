"""Results that others measured: what is taken, and the tables of it."""

import dataclasses

import contributed
import pytest
import tables

from fdcn.bench.report import NETWORK, PICTURE, Limit, Report, Row
from fdcn.bench.work import Work
from fdcn.errors import FdcnError


@pytest.fixture
def good():
    """A result that may be added."""
    common = {
        "engine": "onnxruntime-1.23.0-native",
        "backend": "onnxruntime",
        "precision": "float32",
        "size": "256x256",
        "batch": 2,
        "rows": 4,
        "clock": "wall",
        "samples": [0.25] * 10,
    }
    return Report(
        date="2026-01-31",
        machine={"processor": "a processor", "cores": 4, "system": "Linux x86_64", "gpu": None},
        versions={},
        model={"family": "flowdcn", "parameters": 1, "architecture": {"blocks": 12, "hidden": 384}},
        settings={},
        limits=[Limit("cpu", "float32", 1e11, 1e10, "")],
        rows=[
            Row(NETWORK, **common, steps=1, check={"velocity_cosine": 1.0}, work=Work(10**10, 10**8)),
            Row(PICTURE, **common, steps=10, check={"picture_psnr": 80.0}),
        ],
        failures=[],
        notes=[],
    )


def test_those_that_are_there_may_be():
    contributed.read()


def test_a_good_one_is_shown(tmp_path, good, monkeypatch):
    good.save(tmp_path / "bench-box-s2.json")
    monkeypatch.setattr(contributed.machine, "RESULTS", tmp_path)
    monkeypatch.setattr(contributed, "read", lambda read=contributed.read: read(tmp_path))
    assert contributed.faults(tmp_path / "bench-box-s2.json") == []
    last = tables.cpus().splitlines()[-1]
    assert last == (
        "| 4 cores of a processor | flowdcn 12x384 | onnxruntime-1.23.0-native | 256x256 | 2 | 250 ms | 44% "
        "| 250 ms (10 evaluations) | 8 |"
    )
    assert tables.gpus() == "Not yet measured on a GPU."


def test_without_results_the_tables_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(contributed, "read", dict)
    assert tables.cpus() == "Not yet measured on a CPU."


def first_row(report, **changes):
    return dataclasses.replace(report, rows=[dataclasses.replace(report.rows[0], **changes), *report.rows[1:]])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: dataclasses.replace(r, failures=["engine at 28x28x1"]), "did not agree"),
        (lambda r: dataclasses.replace(r, rows=[]), "no rows"),
        (lambda r: dataclasses.replace(r, limits=[]), "limits were not measured"),
        (lambda r: dataclasses.replace(r, notes=["OMP_NUM_THREADS limits"]), "OMP_NUM_THREADS limits"),
        (lambda r: first_row(r, samples=[0.1] * 9), "9 samples"),
        (lambda r: first_row(r, check={}), "velocity_cosine of 0.999999 is the least"),
        (lambda r: first_row(r, check={"velocity_cosine": 0.9999}), "velocity_cosine of 0.999999"),
        (lambda r: first_row(r, precision="float8"), "'float8' is unknown"),
    ],
)
def test_what_is_not_taken(tmp_path, good, change, says):
    path = tmp_path / "bench-box-s2.json"
    change(good).save(path)
    assert says in " ".join(contributed.faults(path))
    with pytest.raises(FdcnError, match=r"bench-box-s2\.json: "):
        contributed.read(tmp_path)


def test_names(tmp_path, good):
    good.save(tmp_path / "bench-Box.json")
    assert "bench-MACHINE-MODEL.json" in contributed.faults(tmp_path / "bench-Box.json")[0]
    (tmp_path / "bench-x.json").write_text("{")
    assert "is not JSON" in contributed.faults(tmp_path / "bench-x.json")[0]
