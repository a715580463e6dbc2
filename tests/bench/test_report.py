"""Results as files, and two of them side by side."""

import dataclasses
import json

import pytest

from fdcn.bench import compare, plot, table
from fdcn.bench.report import load
from fdcn.errors import FdcnError


def faster(result, factor):
    """The same, measured on a machine that is so many times as fast."""
    rows = [dataclasses.replace(row, samples=[t / factor for t in row.samples]) for row in result.rows]
    return dataclasses.replace(result, rows=rows)


def test_a_result_is_read_as_it_was_written(tmp_path, result):
    result.save(tmp_path / "a.json")
    assert load(tmp_path / "a.json") == result
    row = json.loads((tmp_path / "a.json").read_text())["rows"][0]
    assert row["percentiles"]["p50"] == pytest.approx(0.002)
    assert row["pictures_per_second"] == pytest.approx(3 / 0.007)


def test_limits_of_a_row(result):
    (limit,) = result.limits
    row = result.rows[0]
    assert result.limit(row) is limit
    assert limit.seconds(row.work) == pytest.approx(1e9 / 1e12 + 1e7 / 1e10)
    assert table.reached(row, limit) == ["500 G (50%)", "5 G (50%)", "100%"]
    assert table.reached(row, None) == ["500 G", "5 G", "-"]
    assert result.limit(dataclasses.replace(row, precision="float32")) is None
    assert result.limit(dataclasses.replace(row, backend="onnxruntime")) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "is no result of fdcn bench"),
        ('{"format": 1}', "is no result of fdcn bench"),
        ('{"kind": "fdcn bench", "format": 9}', "has format 9"),
        ('{"kind": "fdcn bench", "format": 1}', "is damaged (KeyError"),
        ('{"kind": "fdcn bench", "format": 1, "limits": [{}], "rows": []}', "is damaged (TypeError"),
    ],
)
def test_damaged_results(tmp_path, text, says):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FdcnError) as error:
        load(tmp_path / "a.json")
    assert says in str(error.value)
    assert "fdcn bench --json FILE" in str(error.value)


@pytest.mark.parametrize("samples", [[], [0.0], ["a"], None])
def test_rows_must_have_times(tmp_path, result, samples):
    result.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    content["rows"][1]["samples"] = samples
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(FdcnError, match="is damaged"):
        load(tmp_path / "a.json")


def test_a_missing_result(tmp_path):
    with pytest.raises(FdcnError, match="cannot read"):
        load(tmp_path / "a.json")
    with pytest.raises(FdcnError, match="cannot read"):
        load(tmp_path)


def test_ratios_are_of_the_rows_that_both_have(result, capsys):
    other = faster(result, 2.0)
    other = dataclasses.replace(other, rows=[*other.rows[:3], dataclasses.replace(other.rows[3], batch=8)])
    other.rows[0] = dataclasses.replace(other.rows[0], engine="tensorrt-11.2.0-sm_86-float16")
    found = compare.pairs(result, other)
    assert [(pair.first.what, pair.first.batch) for pair in found] == [("network", 1), ("picture", 1), ("network", 4)]
    assert [pair.ratio for pair in found] == pytest.approx([2.0] * 3)
    compare.print_comparison(result, other)
    said = capsys.readouterr().out
    assert "2 rows are in one of the two alone" in said
    assert "differs" not in said


def test_engines_that_are_alike_are_compared_in_order(result):
    twice = dataclasses.replace(result, rows=[result.rows[0], faster(result, 3.0).rows[0]])
    assert [pair.ratio for pair in compare.pairs(result, twice)] == pytest.approx([1.0])
    assert [pair.ratio for pair in compare.pairs(twice, twice)] == pytest.approx([1.0, 1.0])


def test_what_differs_beside_the_speed(result):
    other = dataclasses.replace(
        result,
        machine={**result.machine, "cores": 8},
        versions={"python": "3.12.0", "onnxruntime": "1.23.0"},
        settings={**result.settings, "guidance": 2.0},
    )
    assert compare.differing(result, other) == [
        "machine: cores is 4 in A and 8 in B",
        "versions: fdcn is 0.1.0 in A and None in B",
        "versions: onnxruntime is None in A and 1.23.0 in B",
        "settings: guidance is 4.0 in A and 2.0 in B",
    ]
    assert compare.differing(result, result) == []


def test_the_table_of_a_gpu(result, capsys):
    table.print_report(dataclasses.replace(result, notes=["something else"]))
    said = capsys.readouterr().out
    for words in ("NVIDIA A10", "1 TFLOP/s and 10 GB/s", "on the device", "75.0%", "on the GPU", "2.0 GB", "else"):
        assert words in said


def test_the_plot(tmp_path, result):
    plot.save(result, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    plot.draw(dataclasses.replace(result, rows=[]))
