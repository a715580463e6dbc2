"""The comparison of FlowDCN with other ways to run it and with SiT, at tiny shapes on a CPU."""

import sys

import baselines
import clock
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import rivals
import sit
import torch

from fdcn.export.models.flowdcn.architecture import Architecture

FLOWDCN = Architecture(blocks=2, hidden=32, groups=4, ffn=64, channels=4, out_channels=8, classes=10)
SIT = sit.Architecture(blocks=2, hidden=32, heads=4, classes=10)


@pytest.fixture(scope="module", autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return baselines.Place(tmp_path_factory.mktemp("place"), (FLOWDCN, SIT))


def test_multiply_adds_of_the_paper_s_shapes():
    flowdcn, other = baselines.MODELS["XL/2"]
    ratios = [sit.macs(other, side, side) / baselines.flowdcn_macs(flowdcn, side, side) for side in (32, 64, 128)]
    assert ratios == pytest.approx([1.18, 1.31, 1.81], abs=0.005)
    assert 4 * baselines.flowdcn_macs(flowdcn, 32, 32) == pytest.approx(0.40e12, rel=0.01)
    # 118.6 G in its paper, conditioning included.
    assert sit.macs(other, 32, 32) == pytest.approx(118.6e9, rel=0.005)


def test_shapes_of_sit_xl():
    parameters = sum(np.prod(shape) for shape in sit.XL2.shapes().values())
    assert parameters == pytest.approx(675e6, rel=0.001)


def test_the_exported_sit_is_the_network(place):
    subject = place.subject("SiT", 64, "float32", "cpu")
    bundle = place.bundle("SiT", 64)
    denoiser, conditioner = (bundle.graph(bundle.manifest.graphs[name]) for name in ("denoiser", "conditioner"))
    latent, t, labels = (tensor.numpy() for tensor in subject.given)
    modulation, final = ort.InferenceSession(conditioner).run(None, {"t": t[:1], "label": labels})
    feeds = {"latent": latent, "modulation": modulation, "final": final}
    (velocity,) = ort.InferenceSession(denoiser).run(None, feeds)
    np.testing.assert_allclose(velocity, subject.wanted.numpy(), atol=1e-5, rtol=1e-5)
    operators = {node.op_type for node in ir.load(denoiser).graph}
    assert {"MatMul", "Softmax"} <= operators


@pytest.mark.parametrize("name", ["FlowDCN", "SiT"])
def test_products_in_half_and_the_rest_in_float32(place, name):
    subject = place.subject(name, 64, "bfloat16", "cpu")
    for module, given in ((subject.network, subject.given), (subject.denoiser, tuple(subject.ahead.values()))):
        assert baselines.cosine(module(*given), subject.wanted) > 0.999
        dtypes = {key: value.dtype for key, value in module.state_dict().items()}
        assert {torch.bfloat16, torch.float32} == set(dtypes.values())
        for key, dtype in dtypes.items():
            wanted = torch.float32 if any(part in key for part in ("norm", "prior", "position", "table")) else None
            assert dtype == (wanted or torch.bfloat16), key


@pytest.mark.large  # torch.compile takes minutes
def test_every_contender_on_a_cpu(place):
    told = baselines.measure(place, 64, "float32", "cpu", repeats=2)
    contenders = ("torch eager, whole", "torch.compile, whole", "torch.compile, ahead", "fdcn")
    wanted = {f"{name}: {contender}" for name in ("FlowDCN", "SiT") for contender in contenders}
    assert told["skipped"] == {}
    assert set(told["seconds"]) == set(told["cosine"]) == wanted
    assert all(len(entry["samples"]) == 2 for entry in told["seconds"].values())
    assert told["ratios"]["MACs of SiT over FlowDCN's"] == told["macs"]["SiT"] / told["macs"]["FlowDCN"]
    assert "over torch.compile, whole" in told["ratios"]


def contend(monkeypatch, **makers):
    monkeypatch.setattr(
        rivals, "of", lambda subject, *_: {name: lambda make=make: make(subject) for name, make in makers.items()}
    )


def test_what_does_not_run_is_told_and_what_is_wrong_is_refused(place, monkeypatch):
    right = lambda subject: lambda: subject.wanted  # noqa: E731

    def missing(subject):
        raise ImportError("no such\nthing")

    contend(monkeypatch, fdcn=right, other=missing)
    told = baselines.measure(place, 64, "float32", "cpu", repeats=1)
    assert told["skipped"]["SiT: other"] == "ImportError: no such thing"
    assert set(told["seconds"]) == {"FlowDCN: fdcn", "SiT: fdcn"}
    contend(monkeypatch, fdcn=missing)
    with pytest.raises(RuntimeError, match="fdcn itself"):
        baselines.measure(place, 64, "float32", "cpu", repeats=1)
    for wrong in (lambda v: v.flip(-1), lambda v: v * torch.nan):
        contend(monkeypatch, fdcn=lambda subject, wrong=wrong: lambda: wrong(subject.wanted))
        with pytest.raises(AssertionError, match="computes something else"):
            baselines.measure(place, 64, "float32", "cpu", repeats=1)


def test_ratios():
    medians = {"FlowDCN: fdcn": 2.0, "FlowDCN: torch eager, whole": 6.0}
    medians |= {"SiT: fdcn": 3.0, "SiT: torch.compile, ahead": 4.0}
    got = baselines.ratios(medians, {"FlowDCN": 10.0, "SiT": 12.0})
    assert got == pytest.approx(
        {
            "over torch eager, whole": 3.0,
            "MACs of SiT over FlowDCN's": 1.2,
            "SiT at its best": 1.5,
            "SiT at its best, of the MAC ratio": 1.25,
            "SiT by torch.compile": 2.0,
            "SiT by torch.compile, of the MAC ratio": 2.0 / 1.2,
        }
    )


def test_what_is_there_is_not_made_again(place):
    made = []
    for _ in range(2):
        path = place.once("thing", lambda path: made.append(path.write_text("x")))
    assert made == [1]
    with pytest.raises(ZeroDivisionError):
        place.once("other", lambda path: (path.write_text("half"), 1 / 0))
    assert not (path.parent / "other").exists()


def test_calls_are_timed_in_turns():
    order = []
    taken = clock.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, "cpu", 3, launches=2)
    assert order == list("aabb") + list("aabb") * 3
    assert {name: len(samples) for name, samples in taken.items()} == {"a": 3, "b": 3}
    assert all(seconds > 0 for samples in taken.values() for seconds in samples)


def test_the_command_says_what_it_compares(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["baselines.py", "--help"])
    with pytest.raises(SystemExit):
        baselines.main()
    assert "--released" in capsys.readouterr().out
