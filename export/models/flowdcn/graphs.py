"""FlowDCN as it is exported: conditioner and denoiser, the released arithmetic rearranged for engines.

What differs from `network.py`: adaLN, which depends on (t, class) alone, is a graph of its own that runs ahead of the
sampling loop; the mixer's four input projections are one GEMM whose rows are permuted to the operator's layout;
the patch embedding is a GEMM; output rows of the unused sigma are cut; FFN widths are multiples of 8. Weights are
kept as [in, out], so that no graph transposes them.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdcn.export.models.flowdcn.architecture import NORM_EPSILON, Architecture
from fdcn.export.models.flowdcn.network import modulate, time_features
from fdcn.plugins.torch_op import multi_scale_dcn

Tensors = Mapping[str, Tensor]
PARTS = ("weight", "bias")
FFN_MULTIPLE = 8
"""Half-precision tensor-core GEMMs want widths of whole 16-byte rows."""


class GEMM(nn.Module):
    """x @ weight + bias with weight [in, out], from linear layers [out, in] of one input, side by side."""

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor] = ()) -> None:
        super().__init__()
        # Transposed before they are joined: the largest, adaLN's, exists once and not twice.
        self.weight = nn.Parameter(torch.cat([weight.t() for weight in weights], 1), requires_grad=False)
        self.bias = nn.Parameter(torch.cat(list(biases)), requires_grad=False) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        x = x @ self.weight
        return x if self.bias is None else x + self.bias


class Conditioner(nn.Module):
    """t [S], label [B] → modulation [S·B, blocks, 6, h] and final [S·B, 2, h]; row s·B + b.

    The six are shift, scale, gate of the operator, then of the FFN; the two are shift, scale of the last layer.
    """

    def __init__(self, tensors: Tensors, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.embed = nn.ModuleList(GEMM(*([tensors[f"t_embedder.mlp.{i}.{part}"]] for part in PARTS)) for i in (0, 2))
        self.table = nn.Parameter(tensors["y_embedder.embedding_table.weight"], requires_grad=False)
        heads = [f"blocks.{i}.adaLN_modulation.1" for i in range(arch.blocks)]
        self.modulation = GEMM(*([tensors[f"{head}.{part}"] for head in heads] for part in PARTS))
        self.final = GEMM(*([tensors[f"final_layer.adaLN_modulation.1.{part}"]] for part in PARTS))

    def forward(self, t: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        h, n = self.arch.hidden, self.arch.blocks
        time = self.embed[1](F.silu(self.embed[0](time_features(t))))
        condition = F.silu((time[:, None] + F.embedding(label, self.table)[None]).reshape(-1, h))
        return self.modulation(condition).reshape(-1, n, 6, h), self.final(condition).reshape(-1, 2, h)


class ExportedBlock(nn.Module):
    """One block over channels-last tokens, its modulation given."""

    prior: Tensor
    norm1: Tensor
    norm2: Tensor

    def __init__(self, tensors: Tensors, arch: Architecture) -> None:
        super().__init__()
        self.groups, self.taps = arch.groups, arch.taps
        self.register_buffer("prior", tensors["attn.deformables_prior"].reshape(arch.taps, 2).clone())
        self.register_buffer("norm1", tensors["norm1.weight"])
        self.register_buffer("norm2", tensors["norm2.weight"])
        self.projection = GEMM(*_fused_projection(tensors, arch))
        self.out = GEMM(*([tensors[f"attn.out.{part}"]] for part in PARTS))
        pad = -arch.ffn % FFN_MULTIPLE
        self.w1, self.w3 = (GEMM([F.pad(tensors[f"mlp.{w}.weight"], (0, 0, 0, pad))]) for w in ("w1", "w3"))
        self.w2 = GEMM([F.pad(tensors["mlp.w2.weight"], (0, pad))])

    def forward(self, x: Tensor, modulation: Tensor, s_max: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation[:, i] for i in range(6))
        projection = self.projection(modulate(_rms_norm(x, self.norm1), shift1, scale1))
        mixed = multi_scale_dcn(projection, self.prior, s_max, self.groups, self.taps)
        x = x + gate1[:, None, None] * self.out(mixed)
        y = modulate(_rms_norm(x, self.norm2), shift2, scale2)
        return x + gate2[:, None, None] * self.w2(F.silu(self.w1(y)) * self.w3(y))


class Denoiser(nn.Module):
    """latent [B, C, H, W], modulation, final, s_max [B, blocks, 2] → velocity [B, C, H, W]."""

    def __init__(self, tensors: Tensors, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        # Patches are read as (p, q, c): channels last, so that embedding and output have one layout.
        patch_rows = tensors["x_embedder.proj.weight"].permute(0, 2, 3, 1).flatten(1)
        self.embed = GEMM([patch_rows], [tensors["x_embedder.proj.bias"]])
        self.blocks = nn.ModuleList(ExportedBlock(_under(tensors, f"blocks.{i}."), arch) for i in range(arch.blocks))
        self.head = GEMM(*([self._live_rows(tensors[f"final_layer.linear.{part}"])] for part in PARTS))

    def forward(self, latent: Tensor, modulation: Tensor, final: Tensor, s_max: Tensor) -> Tensor:
        B, C, H, W = latent.shape
        p = self.arch.patch
        patches = latent.reshape(B, C, H // p, p, W // p, p).permute(0, 2, 4, 3, 5, 1)
        x = self.embed(patches.reshape(B, H // p, W // p, p * p * C))
        for i, block in enumerate(self.blocks):
            x = block(x, modulation[:, i], s_max[:, i])
        x = F.layer_norm(x, (self.arch.hidden,), eps=NORM_EPSILON)
        patches = self.head(modulate(x, final[:, 0], final[:, 1])).reshape(B, H // p, W // p, p, p, C)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(B, C, H, W)

    def _live_rows(self, rows: Tensor) -> Tensor:
        """Keep the velocity's rows of the output layer: (p, q, c) with c below the picture's channels."""
        a = self.arch
        return rows.reshape(a.patch**2, a.out_channels, -1)[:, : a.channels].reshape(
            a.patch**2 * a.channels, *rows.shape[1:]
        )


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    # Opset 20 has no RMSNormalization; so spelled, ONNX Runtime fuses it (SimplifiedLayerNormalization).
    return x / (x.pow(2).mean(-1, keepdim=True) + NORM_EPSILON).sqrt() * weight


def _fused_projection(tensors: Tensors, arch: Architecture) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of the one GEMM that feeds the operator: values [G·C, h], then taps [G·K·4, h]."""
    g, k = arch.groups, arch.taps

    def taps(part: str, scale_logit: Tensor) -> Tensor:
        direction = tensors[f"attn.qk_deformables.{part}"].reshape(g, k, 2, -1)
        weight = tensors[f"attn.qk_weights.{part}"].reshape(g, k, 1, -1)
        return torch.cat([direction, scale_logit, weight], 2).reshape(g * k * 4, -1)

    learned_scale = tensors["attn.deformables_scale"].reshape(g, 1, 1, 1).expand(g, k, 1, 1)
    weight = taps("weight", tensors["attn.qk_scales.weight"].reshape(g, k, 1, -1))
    bias = taps("bias", learned_scale).reshape(-1)
    return [tensors["attn.v.weight"], weight], [tensors["attn.v.bias"], bias]


def _under(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def conditioner_example() -> tuple[Tensor, Tensor]:
    """Inputs to trace the conditioner with."""
    return torch.rand(3), torch.tensor([0, 1])


def denoiser_example(arch: Architecture, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs to trace the denoiser with, at a latent size."""
    n, h = arch.blocks, arch.hidden
    return (
        torch.randn(2, arch.channels, height, width),
        torch.randn(2, n, 6, h),
        torch.randn(2, 2, h),
        torch.full((2, n, 2), 6.0),
    )
