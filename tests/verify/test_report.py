"""A report as JSON, as a table and as a picture."""

import json
import math

import pytest
from PIL import Image
from rich.console import Console

from fdcn.errors import FdcnError
from fdcn.verify import plot, table
from fdcn.verify.report import Compared, Report, Row, Rung, Side


def velocity(sizes=("28x28", "56x28"), steps=10, cosine=0.99999, passed=True):
    values = {"cosine": cosine, "psnr": 60.0, "mean_error": 1e-4, "max_error": 3e-3}
    return Rung(
        "velocity",
        "the network",
        {"cosine": 0.9999},
        [Row({"size": s, "step": i, "t": i / steps}, values, passed) for s in sizes for i in range(steps)],
    )


def report(*rungs):
    side = Side("onnxruntime", "portable graphs", "float32", "ONNX Runtime")
    return Report("ab" * 32, side, [Compared(side, list(rungs))], {"steps": 10})


def printed(monkeypatch, *rungs):
    console = Console(width=200, record=True, force_terminal=False)
    monkeypatch.setattr(table, "Console", lambda **options: console)
    table.print_report(report(*rungs))
    return console.export_text()


def test_json():
    picture = Rung("picture", "each", {"psnr": 20.0}, [Row({"seed": 1}, {}, False, "no numbers")])
    skipped = Rung("distribution", "many", {}, [], "no classifier")
    whole = json.loads(report(velocity(cosine=math.nan, passed=False), picture, skipped).to_json())
    assert whole["format"] == 2
    assert whole["passed"] is False
    (found,) = whole["candidates"]
    assert found["passed"] is False
    assert whole["reference"].keys() == found["side"].keys() == {"name", "artifact", "backend", "precision"}
    assert [rung["name"] for rung in found["rungs"]] == ["velocity", "picture", "distribution"]
    assert [rung["passed"] for rung in found["rungs"]] == [False, False, True]
    row = found["rungs"][0]["rows"][3]
    assert row["at"] == {"size": "28x28", "step": 3, "t": 0.3}
    assert row["values"] == {"cosine": None, "psnr": 60.0, "mean_error": 1e-4, "max_error": 3e-3}
    assert found["rungs"][1]["rows"] == [{"at": {"seed": 1}, "values": {}, "passed": False, "note": "no numbers"}]
    assert found["rungs"][2]["skipped"] == "no classifier"


def test_verdict():
    assert report(velocity()).verdict() == "onnxruntime agrees with onnxruntime"
    assert (
        report(velocity(), velocity(passed=False))
        .verdict()
        .endswith("too far from onnxruntime: 20 of 20 in the velocity")
    )


def test_saving_says_where_it_cannot(tmp_path):
    for save in (report(velocity()).save, lambda path: plot.save(report(velocity()), path)):
        with pytest.raises(FdcnError, match="cannot write"):
            save(tmp_path / "missing" / "file")


def test_table(monkeypatch):
    other = Rung("distribution", "many", {"accuracy": 0.9}, [Row({"seeds": 5}, {"accuracy": 0.92}, True)])
    skipped = Rung("operator", "alone", {}, [], "there is no builder")
    text = printed(monkeypatch, skipped, velocity(), other)
    for words in (
        "cosine ≥ 0.9999",
        "0.9999900",
        "60.0 dB",
        "3.00e-03",
        "28x28",
        "accuracy 0.9",
        "0.92",
        "not run: there is",
    ):
        assert words in text
    assert "FAILED" not in text


def test_a_long_table_has_what_failed(monkeypatch):
    rung = velocity(steps=200)
    values = {**rung.rows[0].values, "cosine": 0.5}
    rung.rows[333] = Row({"size": "56x28", "step": 133, "t": 0.665}, values, False)
    rung.rows[100] = Row(rung.rows[100].at, {**rung.rows[0].values, "psnr": 41.0}, True)
    text = printed(monkeypatch, rung)
    assert f"the worst {table.ROWS_AT_MOST} of 400" in text
    assert text.count("FAILED") == 1
    assert "41.0 dB" in text
    assert sum("x28" in line for line in text.splitlines()) == table.ROWS_AT_MOST


@pytest.mark.parametrize("cosine", [0.99999, 1.0, math.nan])
def test_plot(tmp_path, cosine):
    rung = velocity(cosine=cosine)
    rung.rows[2].values["psnr"] = math.inf
    plot.save(report(rung), tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert 300 < picture.height < picture.width
        assert len(picture.convert("L").getcolors(256)) > 20  # something is drawn
    assert 20_000 < (tmp_path / "plot.png").stat().st_size < 500_000


def test_plot_has_a_line_a_size_and_the_limit():
    cosine, psnr, errors = plot.draw(report(velocity(("8x8", "16x8", "24x8")))).axes
    assert [len(axes.lines) for axes in (cosine, psnr, errors)] == [4, 3, 6]
    assert [text.get_text() for text in cosine.get_legend().get_texts()] == ["8x8", "16x8", "24x8", "limit"]
    assert list(cosine.lines[0].get_ydata()) == pytest.approx([1e-5] * 10, rel=1e-6)
