"""SiT (arXiv 2401.08740): the transformer that FlowDCN is compared with, at its shapes and with random weights.

It is FlowDCN's network with attention and a plain FFN instead of the operator and SwiGLU, and the released code has
the same names for what surrounds the blocks, so that FlowDCN's conditioner serves here too. It is exported as FlowDCN
is: adaLN ahead of the loop, one GEMM for q, k and v, weights as [in, out]. Attention is
`scaled_dot_product_attention` in torch, and in the exported graph the two products and the Softmax that TensorRT fuses.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdcn.bundle import Bundle
from fdcn.export import models
from fdcn.export.exporter import Options, export
from fdcn.export.models.base import Family, GraphSource, LatentSize, ModelSource
from fdcn.export.models.flowdcn import SAMPLING, graphs
from fdcn.export.models.flowdcn.architecture import NORM_EPSILON, TIME_FEATURES
from fdcn.export.trace import Signature

PARTS = graphs.PARTS


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Every number of a SiT. The FFN is four times as wide as the stream."""

    blocks: int
    hidden: int
    heads: int
    channels: int = 4
    out_channels: int = 8
    classes: int = 1000
    patch: int = 2

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of the released state_dict but the positions, which are fixed."""
        h, p = self.hidden, self.patch
        shapes: dict[str, tuple[int, ...]] = {
            "x_embedder.proj.weight": (h, self.channels, p, p),
            "t_embedder.mlp.0.weight": (h, TIME_FEATURES),
            "t_embedder.mlp.2.weight": (h, h),
            "y_embedder.embedding_table.weight": (self.classes + 1, h),
            "final_layer.linear.weight": (p * p * self.out_channels, h),
            "final_layer.adaLN_modulation.1.weight": (2 * h, h),
        }
        block = {
            "attn.qkv": (3 * h, h),
            "attn.proj": (h, h),
            "mlp.fc1": (4 * h, h),
            "mlp.fc2": (h, 4 * h),
            "adaLN_modulation.1": (6 * h, h),
        }
        for i in range(self.blocks):
            shapes |= {f"blocks.{i}.{name}.weight": shape for name, shape in block.items()}
        biases = {f"{name[:-6]}bias": shape[:1] for name, shape in shapes.items() if "table" not in name}
        return shapes | biases


XL2 = Architecture(blocks=28, hidden=1152, heads=16)


def random_tensors(arch: Architecture) -> dict[str, Tensor]:
    """A state_dict whose activations stay of order one and whose gates are open."""
    return {
        name: torch.randn(shape) * (0.02 if len(shape) == 1 else shape[1] ** -0.5)
        for name, shape in arch.shapes().items()
    }


def macs(arch: Architecture, height: int, width: int) -> float:
    """Multiply-adds of an evaluation of one image, its conditioning apart, at a latent size."""
    tokens, h, p = height // arch.patch * (width // arch.patch), arch.hidden, arch.patch
    ends = p * p * 2 * arch.channels * h
    return tokens * (arch.blocks * (12 * h * h + 2 * tokens * h) + ends)


class Block(nn.Module):
    """One block over tokens [B, T, h], its modulation [B, 6, h] given."""

    def __init__(self, tensors: Mapping[str, Tensor], heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.out, self.fc1, self.fc2 = (
            graphs.GEMM(*([tensors[f"{name}.{part}"]] for part in PARTS))
            for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        )

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation[:, i, None] for i in range(6))
        x = x + gate1 * self.attention(_norm(x) * (1 + scale1) + shift1)
        return x + gate2 * self.fc2(F.gelu(self.fc1(_norm(x) * (1 + scale2) + shift2), approximate="tanh"))

    def attention(self, x: Tensor) -> Tensor:
        B, T, h = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.heads, h // self.heads).permute(2, 0, 3, 1, 4)
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(B, T, h))


class Denoiser(nn.Module):
    """latent [B, C, H, W], modulation [B, blocks, 6, h], final [B, 2, h] → velocity [B, C, H, W], of one size.

    Not `fused`, attention is written as its products and Softmax, as an exported graph has it.
    """

    position: Tensor

    def __init__(
        self, tensors: Mapping[str, Tensor], arch: Architecture, height: int, width: int, fused: bool = True
    ) -> None:
        super().__init__()
        self.arch, p = arch, arch.patch
        patch_rows = tensors["x_embedder.proj.weight"].permute(0, 2, 3, 1).flatten(1)
        self.embed = graphs.GEMM([patch_rows], [tensors["x_embedder.proj.bias"]])
        self.register_buffer("position", positions(height // p, width // p, arch.hidden))
        self.blocks = nn.ModuleList(
            Block(_under(tensors, f"blocks.{i}."), arch.heads, fused) for i in range(arch.blocks)
        )
        rows = [tensors[f"final_layer.linear.{part}"] for part in PARTS]
        live = (row.unflatten(0, (p * p, -1))[:, : arch.channels].flatten(0, 1) for row in rows)
        self.head = graphs.GEMM(*([row] for row in live))

    def forward(self, latent: Tensor, modulation: Tensor, final: Tensor) -> Tensor:
        B, C, H, W = latent.shape
        p = self.arch.patch
        patches = latent.reshape(B, C, H // p, p, W // p, p).permute(0, 2, 4, 3, 5, 1)
        x = self.embed(patches.reshape(B, H // p * (W // p), p * p * C)) + self.position
        for i, block in enumerate(self.blocks):
            x = block(x, modulation[:, i])
        patches = self.head(_norm(x) * (1 + final[:, 1, None]) + final[:, 0, None])
        return patches.reshape(B, H // p, W // p, p, p, C).permute(0, 5, 1, 3, 2, 4).reshape(B, C, H, W)


class SiT(nn.Module):
    """The network as it is released: x [N, C, H, W], t [1] or [N], y [N] → velocity [N, C, H, W]."""

    def __init__(self, tensors: Mapping[str, Tensor], arch: Architecture, height: int, width: int) -> None:
        super().__init__()
        self.conditioner = graphs.Conditioner(tensors, arch)  # type: ignore[arg-type]
        self.denoiser = Denoiser(tensors, arch, height, width)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.denoiser(x, *self.conditioner(t[:1], y))


def positions(rows: int, columns: int, hidden: int) -> Tensor:
    """Fixed sines and cosines of both coordinates: [rows · columns, hidden]."""
    frequency = 10000.0 ** (-torch.arange(hidden // 4) / (hidden // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequency for axis in (x, y)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)


def export_bundle(checkpoint: Path, arch: Architecture, size: tuple[int, int], path: Path) -> Bundle:
    """Export by fdcn's exporter, for one size (width, height) in pixels: the best case for an engine."""
    with mock.patch.object(models, "FAMILIES", (_family(arch),)):
        return export(checkpoint, path, Options(size=size))


def _family(arch: Architecture) -> Family:
    """An architecture as a family, since the number of heads is in no tensor's shape."""

    def read(tensors: Mapping[str, Tensor], source: str) -> ModelSource:
        return ModelSource(
            family="sit",
            architecture=dataclasses.asdict(arch),
            blocks=arch.blocks,
            channels=arch.channels,
            classes=arch.classes,
            patch=arch.patch,
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            token_bytes=4 * 8 * arch.hidden,
            sampling=SAMPLING,
            graphs=lambda size: _graphs(tensors, arch, size),
        )

    return Family("sit", lambda shapes: True, read)


def _graphs(tensors: Mapping[str, Tensor], arch: Architecture, size: LatentSize) -> list[GraphSource]:
    assert size is not None
    modulation: dict[str, list[Any]] = {
        "modulation": ["batch", arch.blocks, 6, arch.hidden],
        "final": ["batch", 2, arch.hidden],
    }
    rows = {name: ["rows", *axes[1:]] for name, axes in modulation.items()}
    latent = ["batch", arch.channels, *size]
    example = torch.randn(2, arch.channels, *size), *(torch.randn(2, *axes[1:]) for axes in modulation.values())
    return [
        GraphSource(
            "conditioner",
            lambda: (graphs.Conditioner(tensors, arch), graphs.conditioner_example()),  # type: ignore[arg-type]
            Signature({"t": ["steps"], "label": ["labels"]}, rows),
        ),
        GraphSource(
            "denoiser",
            lambda: (Denoiser(tensors, arch, *size, fused=False), example),
            Signature({"latent": latent, **modulation}, {"velocity": latent}),
        ),
    ]


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPSILON)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
