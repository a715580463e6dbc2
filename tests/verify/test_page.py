"""The report page: read by a parser, whole without any other file, and true to the report."""

import html
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from fdcn.errors import FdcnError
from fdcn.verify import chart, page, page_pictures, page_tables
from fdcn.verify.chart import Bar, Line
from fdcn.verify.report import Album, Compared, Report, Row, Rung, Side

VOID = {"meta", "img", "br"}
SIZES = ("28x28", "56x28")
NAMES = ("onnxruntime-int8", "onnxruntime-fp8")


class Reader(HTMLParser):
    """Checks that what opens closes, and keeps tags, links and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def candidate(name, passed=True, cosine=0.9995, distribution=True):
    values = {"cosine": cosine, "psnr": 40.0, "mean_error": 1e-2, "max_error": 0.2}
    steps = [Row({"size": size, "step": i, "t": i / 5}, values, passed) for size in SIZES for i in range(5)]
    level = {"psnr": 31.0, "mean_error": 1.0, "max_error": 9.0}
    pictures = [Row({"size": size, "label": "<Bag>", "seed": i}, level, True) for size in SIZES for i in range(2)]
    rungs = [
        Rung("operator", "alone", {}, [], "there is no builder"),
        Rung("velocity", "the network", {"cosine": 0.99}, steps),
        Rung("picture", "each", {"psnr": 12.0}, pictures),
    ]
    if distribution:
        change = {"change": -0.004, "low": -0.007, "high": -0.001}
        scores = {"accuracy": 0.926, "frechet": 5.3, "precision": 0.8, "recall": 0.6}
        rows = [
            Row({"size": SIZES[0], "metric": metric}, {"reference": x, "candidate": x - 0.004, **change}, True)
            for metric, x in scores.items()
        ]
        rungs.append(Rung("distribution", "1,000 pictures each", {"accuracy_lost": 0.01, "frechet_grown": 0.05}, rows))
    return Compared(Side(name, "portable graphs", name.rpartition("-")[2], "ONNX Runtime"), rungs)


def report(*candidates, missing=()):
    rng = np.random.default_rng(0)
    names = ["onnxruntime-portable", *(compared.side.name for compared in candidates)]
    albums = []
    for size in SIZES:
        width, height = map(int, size.split("x"))
        made = {n: rng.integers(0, 256, (2, height, width, 1), np.uint8) for n in names if n not in missing}
        albums.append(Album(size, ["<Bag>", "<Bag>"], [0, 1], made))
    side = Side("onnxruntime-portable", "portable graphs", "float32", "ONNX Runtime")
    return Report("ab" * 32, side, list(candidates), {"solver": "neural", "steps": 10, "labels": ["<Bag>"]}, albums)


def test_the_page_is_well_formed_and_whole(tmp_path, shipped_bundle):
    page.save(report(*map(candidate, NAMES)), shipped_bundle, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    read = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert read.links
    assert all(link.startswith("data:image/png;base64,") for link in read.links)
    assert not re.search(r"@import|url\(|<script|https?:", text)
    assert {"charset": "utf-8"} in [attributes for tag, attributes in read.tags if tag == "meta"]
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "<Bag>" in "".join(read.text)  # and not as a tag
    for words in (
        *NAMES,
        "onnxruntime-portable",
        "92.60%",
        "−0.40 (−0.70 … −0.10) points",
        "there is no builder",
        "5.300",
    ):
        assert words in "".join(read.text), words
    # For each size and picture the reference, and of each candidate the picture and the difference.
    images = [attributes for tag, attributes in read.tags if tag == "img"]
    assert len(images) == len(SIZES) * 2 * (1 + 2 * len(NAMES))
    assert all(attributes["alt"] and attributes["width"] and attributes["height"] for attributes in images)
    # A cosine and a PSNR a size; accuracy and distance of the one that was judged; a legend's lines.
    assert read.count("svg") == 2 * len(SIZES) + 2 + len(NAMES)
    for drawn in re.findall(r"<svg.*?</svg>", text):
        ElementTree.fromstring(drawn)


def test_the_page_says_what_failed_and_what_is_missing(shipped_bundle):
    bad = candidate(NAMES[1], passed=False, cosine=math.nan, distribution=False)
    good = candidate(NAMES[0], distribution=False)
    read = Reader(page.render(report(good, bad, missing=NAMES[1:]), shipped_bundle))
    text = "".join(read.text)
    assert "10 of 10 in the velocity" in text
    assert "its numbers are not finite" in text
    assert "As good as the reference?" not in text
    assert read.count("img") == len(SIZES) * 2 * 3
    assert page_tables.worst(bad, "velocity", "cosine") == "nan"
    assert page_tables.worst(good, "velocity", "cosine") == "0.9995000"


def test_many_pictures_are_cut(shipped_bundle, monkeypatch):
    monkeypatch.setattr(page_pictures, "PICTURES_AT_MOST", 1)
    read = Reader(page.render(report(candidate(NAMES[0])), shipped_bundle))
    assert read.count("img") == len(SIZES) * 3
    assert "The first 1 of 2." in "".join(read.text)


def test_a_difference_is_grey_where_there_is_none():
    black, white = np.zeros((1, 2, 1), np.uint8), np.array([[[0], [255]]], np.uint8)
    assert page_pictures._difference(black, black).tolist() == [[[128], [128]]]
    assert page_pictures._difference(black, white).tolist() == [[[128], [255]]]
    assert page_pictures._difference(white, black).tolist() == [[[128], [0]]]


def test_a_page_that_cannot_be_written(tmp_path, shipped_bundle):
    with pytest.raises(FdcnError, match="cannot write"):
        page.save(report(candidate(NAMES[0])), shipped_bundle, tmp_path / "missing" / "report.html")


def drawn(text):
    """The SVG of a figure, parsed."""
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", text).group())


def test_lines_are_where_their_numbers_are():
    svg = drawn(chart.lines("t", [Line("a & b", [(0, 1e-6), (5, 1e-3), (10, 1.0)])], "step", log=True, limits=[1e-2]))
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle")]
    (left, bottom), middle, (right, top) = circles
    assert (left, right) == (chart.LEFT, chart.WIDTH - chart.RIGHT)
    assert (top, bottom) == (chart.TOP, chart.HEIGHT - chart.BOTTOM)
    assert middle == (pytest.approx((left + right) / 2, abs=0.1), pytest.approx((top + bottom) / 2, abs=0.1))
    (limit,) = [line for line in svg.iter("line") if line.get("class") == "limit"]
    assert float(limit.get("y1")) == pytest.approx(bottom + (top - bottom) * 4 / 6, abs=0.1)
    labels = [text.text for text in svg.iter("text")]
    assert {"10⁻⁶", "10⁰", "step"} <= set(labels)


def test_what_is_not_finite_is_a_gap():
    points = [(0, 1.0), (1, 2.0), (2, math.nan), (3, 2.0), (4, math.inf), (5, 1.0)]
    (path,) = drawn(chart.lines("t", [Line("a", points)], "step")).iter("path")
    assert path.get("d").count("M") == 3
    assert not list(drawn(chart.lines("t", [Line("a", [(0, math.nan)])], "step")).iter("path"))


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [-1e-9, 1e-9], [1e6, 2e6], [-5.0, 100.0]])
def test_every_axis_holds_its_values(values):
    text = chart.lines("t", [Line("a", list(enumerate(values)))], "x")
    for circle in drawn(text).iter("circle"):
        assert chart.TOP <= float(circle.get("cy")) <= chart.HEIGHT - chart.BOTTOM
        assert chart.LEFT <= float(circle.get("cx")) <= chart.WIDTH - chart.RIGHT


def test_bars_span_their_intervals():
    svg = drawn(chart.bars("t", [Bar("one", -0.2, -0.5, 0.1), Bar("two", 0.3, 0.3, 0.3)], "points", -1.0))
    spans = [(float(line.get("x1")), float(line.get("x2"))) for line in svg.iter("line") if "bar" in line.get("class")]
    (zero,) = [float(line.get("x1")) for line in svg.iter("line") if line.get("class") == "zero"]
    (limit,) = [float(line.get("x1")) for line in svg.iter("line") if line.get("class") == "limit"]
    assert limit < spans[0][0] < zero < spans[0][1] < spans[1][0] == spans[1][1]
    assert (spans[0][1] - spans[0][0]) / (zero - limit) == pytest.approx(0.6, abs=0.01)


def test_more_lines_than_colours_are_dashed():
    lines = [Line(str(i), [(0, i), (1, i)]) for i in range(chart.COLORS + 1)]
    classes = [path.get("class") for path in drawn(chart.lines("t", lines, "x")).iter("path")]
    assert len(set(classes)) == len(lines)
    assert html.escape("&") in chart.lines("a & b", lines, "x")
