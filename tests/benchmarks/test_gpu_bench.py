"""The checks of stages gpu-bench and gpu-baselines with a CPU in the GPU's place, at tiny shapes: what they compute."""

import functools
import sys
from pathlib import Path

import baselines
import clock
import pytest
import sit
import torch
import variants

from fdcn.export.models.flowdcn.architecture import Architecture

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"))

import baselines_checks
import bench_layers
import bench_pictures
import bench_steps
import bench_xl2
import limits
import xl2
from stages import Failed

FLOWDCN = Architecture(blocks=2, hidden=32, groups=4, ffn=64, channels=4, out_channels=8, classes=10)


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """The folder of a stage, whose checks are timed on the CPU."""
    tiny = FLOWDCN, sit.Architecture(blocks=1, hidden=32, heads=4, classes=10)
    monkeypatch.setitem(baselines.MODELS, "XL/2", tiny)
    monkeypatch.setattr(clock, "_replayed", lambda work, launches: clock.stopwatch(work, "cpu", launches))
    small = dict(side=16, copied=1 << 12)
    monkeypatch.setattr(limits, "device_works", lambda dtype, device: DEVICE_WORKS(dtype, "cpu", **small))
    monkeypatch.setattr(limits, "rates", functools.partial(limits.rates, **small))
    monkeypatch.setattr(limits, "works", lambda arch, rows, dtype, device: WORKS(arch, rows, dtype, "cpu"))
    monkeypatch.setattr(bench_steps, "REPEATS", 3)
    monkeypatch.setattr(bench_steps, "operator_bound", lambda work, blocks: 1e-6 * blocks)
    place = xl2.place(tmp_path / "work")
    monkeypatch.setattr(
        xl2, "subject", lambda work, px, rows=2: place.subject("FlowDCN", px // 4, "float32", "cpu", rows)
    )
    monkeypatch.setattr(
        xl2, "bound", lambda work, precision, given: (None, lambda: given.denoiser(*given.ahead.values()))
    )
    with torch.no_grad():
        yield tmp_path / "work"


DEVICE_WORKS, WORKS = limits.device_works, limits.works


def test_a_step_is_held_against_its_roofline_and_its_products(cpu):
    try:
        told = bench_steps.step(cpu, "float32")
    except Failed as failure:  # as a CPU of other dimensions does
        told = failure.numbers
        assert "over_roofline" in str(failure) or "over_products" in str(failure)
    median = told["seconds"]["step"]["median"]
    assert told["over_roofline"] == pytest.approx(median / told["roofline_seconds"])
    below = sum(told["product_seconds"].values()) + told["operator_seconds"]
    assert told["over_products"] == pytest.approx(median / below)
    assert set(told["product_seconds"]) == set(limits.products(FLOWDCN))


def test_a_batch_and_the_sizes(cpu):
    for check, number in ((bench_steps.batch, "of_product_rate"), (bench_steps.sizes, "token_ratio")):
        try:
            told = check(cpu, "float32")
        except Failed as failure:
            told = failure.numbers
        assert told[number] > 0
        assert number in told["wanted"]


def test_products_are_those_of_the_exported_graph(tiny_bundle):
    import onnx_ir as ir

    arch = Architecture(**tiny_bundle.manifest.model.architecture)
    model = ir.load(tiny_bundle.graph(tiny_bundle.manifest.graphs["denoiser"]))
    found = sorted(tuple(node.inputs[1].shape) for node in model.graph if node.op_type == "MatMul")
    wanted = [(p.inside, p.columns) for p in limits.products(arch).values() for _ in range(p.count)]
    assert found == sorted(wanted)


def test_products_of_xl_are_its_multiply_adds():
    arch, _ = baselines.MODELS["XL/2"]
    products = sum(product.macs(256) for product in limits.products(arch).values())
    bilinear = 256 * arch.blocks * 4 * arch.taps * arch.hidden
    assert products + bilinear == pytest.approx(baselines.flowdcn_macs(arch, 32, 32), rel=1e-9)


def test_the_faster_layout_of_each_product_counts():
    assert limits.best({"out [in, out]": 2.0, "out [out, in]": 1.0, "w2 [in, out]": 3.0}) == {"out": 1.0, "w2": 3.0}


def test_rates():
    assert limits.rates({"product": 2.0, "copy": 4.0}, side=10, copied=8) == {
        "flop_per_second": 1000.0,
        "bytes_per_second": 4.0,
    }


@pytest.mark.parametrize("value", [1.6, float("nan"), -0.1])
def test_a_number_outside_its_limits_fails_with_all_numbers(value):
    with pytest.raises(Failed, match="ratio is") as failure:
        bench_steps.accepted({"ratio": value, "other": 1}, ratio=(0, 1.5))
    assert failure.value.numbers["other"] == 1
    assert bench_steps.accepted({"ratio": 1.5}, ratio=(0, 1.5))["wanted"] == {"ratio": (0, 1.5)}


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        ("__myl_MeanAddSqrtDivMulMulAddCas_myl0_4", "norms"),
        ("__myl_Fc_myl0_5", "products"),
        ("node_matmul_3_myl0_7", "products"),
        ("node_MultiScaleDCN_12", "operator"),
        ("Reformatting CopyNode for Input Tensor 0 to {ForeignNode}", "copies and reformats"),
        ("__myl_MulAdd_myl0_9", "pointwise and the rest"),
    ],
)
def test_kinds_of_layers(layer, kind):
    assert bench_layers.kind(layer) == kind


def test_the_stage_names_every_variant():
    assert tuple(variants.FLOWDCN) == bench_xl2.VARIANTS


def test_shares_of_the_time():
    told = bench_layers.shares({"fc_1": 3.0, "fc_2": 3.0, "multi_scale_dcn": 2.0})
    assert told == {
        "seconds": 8.0,
        "layers": {"products": 2, "operator": 1},
        "shares": {"products": 0.75, "operator": 0.25},
    }


class Pipe:
    """A pipeline whose first picture of a size takes longer."""

    def __init__(self, first, later):
        self.first, self.later, self.seen, self.calls = first, later, set(), []

    def __call__(self, size=(256, 256), **options):
        self.calls.append(options)
        self.clock.now += self.later if size in self.seen else self.first
        self.seen.add(size)


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize(("first", "passes"), [(0.04, True), (0.07, False)])
def test_a_new_resolution(monkeypatch, first, passes):
    pipe, now = Pipe(first, 0.01), Clock()
    pipe.clock = now
    monkeypatch.setattr(bench_pictures, "time", now)
    monkeypatch.setattr(bench_pictures, "opened", lambda work, **options: pipe)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    if passes:
        assert bench_pictures.new_resolution(Path())["new_size_seconds"] == pytest.approx(first - 0.01)
    else:
        with pytest.raises(Failed, match="new_size_seconds"):
            bench_pictures.new_resolution(Path())
    assert all(call == bench_pictures.REQUEST for call in pipe.calls)


def test_pictures_are_held_against_their_steps(cpu, monkeypatch):
    pipe, now = Pipe(0.01, 0.01), Clock()
    pipe.clock = now
    monkeypatch.setattr(bench_pictures, "time", now)
    monkeypatch.setattr(bench_pictures, "opened", lambda work, **options: pipe)
    monkeypatch.setattr(clock, "stopwatch", lambda work, device: lambda: 0.000995)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    told = bench_pictures.pictures(cpu)
    assert told["overhead"] == pytest.approx(0.005)
    assert told["picture_seconds"] == pytest.approx(0.01)
    assert {call["on_device"] for call in pipe.calls} == {True, False}


def test_baselines_are_held_against_their_aims(cpu, monkeypatch):
    ratios = {"over torch.compile, whole": 2.5, "SiT at its best, of the MAC ratio": 0.95}
    monkeypatch.setattr(baselines, "measure", lambda *_: {"px": 256, "ratios": dict(ratios)})
    monkeypatch.setattr(baselines_checks.os, "environ", {})
    assert baselines_checks.timed(cpu, 256)["over torch.compile, whole"] == 2.5
    for name in list(ratios):
        left = ratios.pop(name)
        with pytest.raises(Failed, match=f"{name} is nan"):
            baselines_checks.timed(cpu, 256)
        ratios[name] = left
