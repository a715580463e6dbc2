"""Architectures from shapes: the released models', and what is said of a checkpoint that fits none."""

import pytest
import torch

from fdcn.errors import FdcnError
from fdcn.export import models
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.models.flowdcn.network import FlowDCN

RELEASED = {
    # name: architecture, parameters (shared facts of the release), tensors in the state_dict
    "S/2": (Architecture(12, 384, 6, 1024, 4, 8, 1000), 30_300_632, 227),
    "B/2": (Architecture(12, 768, 12, 2048, 4, 8, 1000), 120_099_512, 227),
    "L/2": (Architecture(24, 1024, 16, 2730, 4, 8, 1000), 421_503_952, 443),
    "XL/2": (Architecture(28, 1152, 16, 3072, 4, 8, 1000), 618_948_120, 515),
}
SMALL = Architecture(blocks=2, hidden=8, groups=2, ffn=10, channels=1, out_channels=2, classes=3)


@pytest.mark.parametrize("name", RELEASED)
def test_released_models(name):
    arch, parameters, tensors = RELEASED[name]
    shapes = arch.shapes()
    assert Architecture.infer(shapes, name) == arch
    assert arch.parameters == parameters
    assert len(shapes) == tensors


@pytest.mark.parametrize(
    "arch",
    [
        SMALL,
        Architecture(1, 12, 3, 7, 3, 3, 1, patch=4, taps=25),
        Architecture(11, 20, 4, 16, 4, 8, 10, patch=1, taps=9),
    ],
)
def test_any_numbers_are_read_off_the_network_itself(arch):
    network = FlowDCN(arch)
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    assert list(shapes) == list(arch.shapes())
    assert [n for n, _ in network.named_parameters()] == list(arch.shapes())
    assert Architecture.infer(shapes, "it") == arch


@pytest.mark.parametrize("name", [n for n in SMALL.shapes() if not n.startswith("blocks.1.")])
def test_one_missing_tensor_is_named(name):
    shapes = SMALL.shapes()
    del shapes[name]
    with pytest.raises(FdcnError) as error:
        Architecture.infer(shapes, "ckpt.pt")
    assert name in str(error.value)
    assert "missing" in str(error.value)


def test_wrong_and_extra_tensors_are_named_with_both_shapes():
    shapes = {**SMALL.shapes(), "blocks.1.attn.v.weight": (8, 9), "ema_decay": (1,)}
    with pytest.raises(
        FdcnError, match=r"blocks\.1\.attn\.v\.weight is \[8, 9\], expected \[8, 8\]; ema_decay \[1\] is unknown"
    ):
        Architecture.infer(shapes, "ckpt.pt")


def test_many_problems_are_counted():
    shapes = {n: s for n, s in SMALL.shapes().items() if not n.startswith("blocks.0.mlp") and "norm" not in n}
    shapes.pop("blocks.0.attn.v.weight")
    with pytest.raises(FdcnError, match="and 4 more"):
        Architecture.infer(shapes, "ckpt.pt")


def test_another_network_is_not_taken_for_one():
    resnet = {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.weight": torch.zeros(1000, 512)}
    with pytest.raises(FdcnError, match=r"not a checkpoint of a family.*flowdcn.*conv1\.weight \[64, 3, 7, 7\]"):
        models.read(resnet, "resnet.pth")


def test_half_a_flowdcn_is_said_to_be_damaged():
    half = {n: torch.zeros(s) for n, s in SMALL.shapes().items() if n.startswith("blocks.0.attn")}
    with pytest.raises(FdcnError, match=r"x_embedder\.proj\.weight is missing"):
        models.read(half, "half.pth")
