"""Stage gpu-fp8 with a CPU in the GPU's place, at tiny shapes: what it builds, what it computes, whom it names."""

import functools
import sys
from pathlib import Path
from typing import ClassVar

import baselines
import clock
import numpy as np
import onnx_ir as ir
import pytest
import rough
import sit
import torch
import trt_step

from fdcn.errors import FdcnError
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.plugins import flavours

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"))

import fp8_engines
import fp8_layers
import fp8_products
import fp8_steps
import xl2
from stages import Failed

NODES = ("node_matmul_1", "node_matmul_2", "plugin", "node_add_7")
LAYERS = {"__myl_Fc_myl0_1": NODES[:1], "__myl_Fc_myl0_2": NODES[1:2], "MultiScaleDCN_3": NODES[2:3]}


class Step:
    """An engine whose result is given, and whose layers take what `taken` says by precision."""

    taken: ClassVar[dict[str, tuple[float, ...]]] = {}
    wanted: ClassVar[torch.Tensor]

    def __init__(self, path):
        self.precision = path.stem

    def bind(self, tensors):
        return lambda: self.wanted

    def layer_seconds(self, call, repeats):
        return dict(zip(LAYERS, ([t] * repeats for t in self.taken[self.precision]), strict=True))

    def made_of(self):
        return LAYERS


@pytest.fixture
def work(tiny_bundle, monkeypatch, tmp_path):
    """The folder of the stage, whose network has the tiny one's shapes and is on the CPU."""
    arch = Architecture(**tiny_bundle.manifest.model.architecture)
    monkeypatch.setitem(baselines.MODELS, "XL/2", (arch, sit.Architecture(1, 32, 4)))
    monkeypatch.setattr(baselines.Place, "bundle", lambda place, name, px: tiny_bundle)
    place = xl2.place(tmp_path / "work")
    monkeypatch.setattr(
        xl2, "subject", lambda work, px, rows=2: place.subject("FlowDCN", px // 4, "float32", "cpu", rows)
    )
    monkeypatch.setattr(clock, "_replayed", lambda work, launches: clock.stopwatch(work, "cpu", launches))
    with torch.no_grad():
        yield tmp_path / "work"


@pytest.fixture
def engines(work, monkeypatch):
    """Engines that give the network's own velocity; fp8's takes the seconds that are left of a whole."""
    monkeypatch.setattr(trt_step, "build", lambda bundle, precision, sizes, path, recipe=None: path.write_bytes(b"e"))
    monkeypatch.setattr(trt_step, "Step", Step)
    monkeypatch.setattr(Step, "taken", {"float16": (4.0, 2.0, 1.0), "fp8": (2.0, 2.0, 1.0), "int8": (2.0, 2.0, 1.0)})
    monkeypatch.setattr(Step, "wanted", xl2.subject(work, 256, 16).wanted, raising=False)
    return work


def speeds(monkeypatch, **seconds):
    monkeypatch.setattr(clock, "interleaved", lambda works, *_: {name: [seconds[name]] * 2 for name in works})


def test_recipes_name_every_product_but_the_ends_and_engines_have_them(work, tiny_bundle, monkeypatch):
    try:
        flavours.load("tensorrt-rtx")
    except FdcnError as error:
        pytest.skip(f"no engine was built: {error}")
    count = 5 * tiny_bundle.manifest.model.blocks
    assert fp8_engines.recipes(work)["quantised"] == {"int8": count, "fp8": count}
    rtx = functools.partial(trt_step.build, flavour="tensorrt-rtx", compute=("sm_89",))
    monkeypatch.setattr(trt_step, "build", rtx)
    told = {precision: fp8_engines.built(work, precision) for precision in ("float16", "fp8")}
    assert told["fp8"]["parsed_layers"] > told["float16"]["parsed_layers"]
    assert "seconds" not in fp8_engines.built(work, "fp8")  # it was there already
    assert fp8_engines.engine(work, "fp8").stat().st_size == told["fp8"]["bytes"]


def test_a_step_that_is_fast_enough_passes(engines, monkeypatch):
    speeds(monkeypatch, float16=1.4e-3, fp8=1e-3)
    told = fp8_steps.step(engines, "fp8", 8)
    assert told["speedup"] == pytest.approx(1.4)
    assert told["rows"] == 16
    assert told["by_role"]["float16"] == {"blocks.*.projection": 4.0, "blocks.*.out": 2.0, "operator": 1.0}
    assert told["cosine"]["fp8"] == pytest.approx(1)


def test_one_that_is_not_names_the_layer_that_prevents_it(engines, monkeypatch):
    speeds(monkeypatch, float16=1.2e-3, fp8=1e-3, int8=1e-3)
    with pytest.raises(Failed, match=r"blocks\.\*\.out prevents it: 2000\.00 of 5000\.00 ms") as failure:
        fp8_steps.step(engines, "fp8", 8)
    assert failure.value.numbers["behind"][0]["role"] == "blocks.*.out"
    assert failure.value.numbers["longest"]["fp8"]["__myl_Fc_myl0_2"] == {"seconds": 2.0, "nodes": ["node_matmul_2"]}
    assert fp8_steps.step(engines, "int8", 8)["speedup"] == pytest.approx(1.2)  # nothing is wanted of it


@pytest.mark.parametrize("wrong", [float("nan"), -1.0])
def test_an_engine_that_computes_something_else_is_not_timed(engines, monkeypatch, wrong):
    monkeypatch.setattr(clock, "interleaved", lambda *_: pytest.fail("it was timed"))
    monkeypatch.setattr(Step, "wanted", wrong * Step.wanted)
    with pytest.raises(AssertionError, match="something else"):
        fp8_steps.step(engines, "fp8", 8)


def test_layers_are_what_the_nodes_in_them_are():
    known = {"a": "blocks.*.w1", "b": "blocks.*.w3"}
    made_of = {"both": ["a", "x", "b"], "one": ["a"], "mean": [], "DCN": []}
    taken = {"both": [1.0, 3.0, 2.0], "one": [0.5], "mean": [0.25], "copy": [4.0]}
    assert fp8_layers.seconds(taken, made_of, known) == {
        "copies and reformats": 4.0,
        "blocks.*.w1 and blocks.*.w3": 2.0,
        "blocks.*.w1": 0.5,
        "norms": 0.25,
    }


def test_who_is_behind_sums_to_what_is_missing():
    half, low = {"a": 4.0, "b": 2.0, "c": 1.0}, {"a": 2.0, "b": 2.0, "d": 0.5}
    rows = fp8_layers.behind(half, low, 1.35)
    assert [row["role"] for row in rows] == ["b", "d", "c", "a"]
    assert sum(row["beyond"] for row in rows) == pytest.approx(4.5 - 7 / 1.35)


def test_nodes_of_layers_as_the_inspector_tells_them():
    told = [{"Name": "x", "Metadata": "[ONNX Layer: node_a]\x1f[ONNX Layer: b.c]"}, {"Name": "y"}, "terse"]
    assert trt_step.nodes(told) == {"x": ["node_a", "b.c"], "y": []}


def test_products_keep_the_names_of_their_nodes_where_they_are_quantised(work, tiny_bundle, tmp_path):
    feeds = {name: tensor.numpy() for name, tensor in xl2.subject(work, 256).ahead.items()}
    recipe = rough.recipes(tiny_bundle, feeds)["fp8"]
    prepared = trt_step.edited(tiny_bundle, "fp8", tmp_path, None, recipe)
    there = {node.name for node in ir.load(prepared.path).graph if node.op_type == "MatMul"}
    known = fp8_layers.roles(tiny_bundle)
    assert there >= known.keys()
    assert len(known) == len(recipe.quantised()) + len(recipe.kept) == 5 * tiny_bundle.manifest.model.blocks + 2


def test_what_products_alone_make_possible():
    seconds = {"float16": {"w2": 3.0, "out": 1.0, "head": 1.0}, "fp8": {"w2": 1.5, "out": 0.5}}
    assert fp8_products.possible(8.0, seconds) == {"fp8": pytest.approx(8 / 6)}


def test_products_are_multiplied_in_their_precision(work, engines, monkeypatch):
    monkeypatch.setattr(fp8_products, "REPEATS", 2)
    monkeypatch.setattr(fp8_products, "PX", 64)
    for name in ("half", "fp8", "int8"):
        make = getattr(fp8_products, name)
        monkeypatch.setattr(fp8_products, name, lambda arch, tokens, device, make=make: make(arch, tokens, "cpu"))
    told = fp8_products.products(work, 1)
    assert told["product_seconds"].keys() == {"float16", "fp8", "int8"}
    assert set(told["product_seconds"]["float16"]) - set(told["product_seconds"]["fp8"]) == {"embedding", "head"}
    assert np.isfinite(list(told["possible"].values())).all()
