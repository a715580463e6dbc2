"""The rearranged graphs against the network as it is trained, and both against the golden arrays."""

import numpy as np
import pytest
import torch
from oracles import assert_close

from fdcn.export import checkpoint
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.models.flowdcn.graphs import Conditioner, Denoiser
from fdcn.export.models.flowdcn.network import FlowDCN

VELOCITY = 5e-5
"""What an independent float32 implementation of the network may differ by."""


def rearranged(tensors, arch, x, t, y, s_max):
    """The exported graphs on a batch whose times and labels all differ."""
    modulation, final = Conditioner(tensors, arch)(t, y)
    diagonal = torch.arange(len(t)) * (len(t) + 1)
    return Denoiser(tensors, arch)(x, modulation[diagonal], final[diagonal], s_max)


@pytest.mark.parametrize("size", ["8x8", "8x20", "16x6"])
@torch.no_grad()
def test_golden_velocity(golden, size):
    tensors = checkpoint.load(golden / "tiny.pth").tensors
    arch = Architecture.infer({n: tuple(t.shape) for n, t in tensors.items()}, "tiny")
    arrays = np.load(golden / f"velocity_{size}.npz")
    x, t, y = (torch.from_numpy(arrays[name]) for name in "xty")
    s_max = torch.full((len(x), arch.blocks, 2), 6.0)
    network = FlowDCN(arch)
    network.load_state_dict(tensors)
    assert_close(network(x, t, y.long()).numpy(), arrays["v"], VELOCITY, 0)
    assert_close(rearranged(tensors, arch, x, t, y.long(), s_max).numpy(), arrays["v"], VELOCITY, 0)


@pytest.mark.parametrize(
    "arch",
    [
        Architecture(3, 24, 3, 13, 1, 1, 4),  # FFN padded by 3, no sigma
        Architecture(2, 16, 2, 16, 3, 6, 2, patch=4),  # sigma rows cut, patch 4
        Architecture(2, 16, 1, 24, 2, 2, 5, patch=1, taps=25),
    ],
)
@torch.no_grad()
def test_rearranged_is_the_same_network(arch):
    torch.manual_seed(0)
    network = FlowDCN(arch)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.add_(0.05 * torch.randn_like(parameter))
    p = arch.patch
    x, t, y = torch.randn(3, arch.channels, 3 * p, 5 * p), torch.rand(3), torch.randint(arch.classes + 1, (3,))
    s_max = 2 + torch.rand(3, arch.blocks, 2)  # short reaches: long ones make a random network chaotic
    want = network(x, t, y, s_max)
    assert_close(rearranged(network.state_dict(), arch, x, t, y, s_max).numpy(), want.numpy(), VELOCITY, VELOCITY)
