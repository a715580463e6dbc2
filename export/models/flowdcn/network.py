"""FlowDCN as it is trained: the released network, with the released parameter names, in torch.

It is what a checkpoint's tensors mean (reference: arXiv 2410.22655 and its published code) and what
`examples/` trains. `graphs.py` holds the same arithmetic rearranged for deployment.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdcn.export.models.flowdcn.architecture import NORM_EPSILON, REACH, TIME_FEATURES, Architecture
from fdcn.plugins.torch_op import multi_scale_dcn


def time_features(t: Tensor) -> Tensor:
    """Sinusoidal features of the flow time: [S] in [0, 1] to [S, 256], cosines first (t is not scaled by 1000)."""
    half = TIME_FEATURES // 2
    # Made on t's device: a copy from the host could not be captured in a CUDA graph.
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angle = t[:, None] * torch.exp(-torch.log(torch.tensor(10000.0)) * steps / half)
    return torch.cat([angle.cos(), angle.sin()], -1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift channels-last tokens [N, H, W, h] by one vector an image [N, h]."""
    return x * (1 + scale[:, None, None]) + shift[:, None, None]


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis with a weight, statistics in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight, NORM_EPSILON)


class DeformableMixer(nn.Module):
    """The multi-scale deformable convolution that stands where a transformer has attention."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        h, g, k = arch.hidden, arch.groups, arch.taps
        self.groups, self.taps = g, k
        side = torch.arange(-(round(k**0.5) // 2), round(k**0.5) // 2 + 1, dtype=torch.float32)
        grid = torch.cartesian_prod(side, side).flip(-1)
        # Radius 6·(g+1)/G token pixels: the groups start at different scales.
        start = torch.logit((torch.arange(g) + 1) / g - 1e-4)
        self.deformables_prior = nn.Parameter(grid.reshape(1, 1, 1, 1, k, 2), requires_grad=False)
        self.deformables_scale = nn.Parameter(start.reshape(1, 1, 1, g, 1, 1))
        self.v = nn.Linear(h, h)
        self.qk_deformables = nn.Linear(h, g * k * 2)
        self.qk_scales = nn.Linear(h, g * k, bias=False)
        self.qk_weights = nn.Linear(h, g * k)
        self.out = nn.Linear(h, h)
        for weight in (self.qk_deformables.weight, self.qk_deformables.bias, self.qk_scales.weight):
            nn.init.zeros_(weight)

    def forward(self, x: Tensor, s_max: Tensor) -> Tensor:
        N, H, W, _ = x.shape
        shape = (N, H, W, self.groups, self.taps, -1)
        direction = self.qk_deformables(x).reshape(shape)
        scale = self.qk_scales(x).reshape(shape) + self.deformables_scale
        weight = self.qk_weights(x).reshape(shape)
        taps = torch.cat([direction, scale, weight], -1).reshape(N, H, W, -1)
        projection = torch.cat([self.v(x), taps], -1)
        prior = self.deformables_prior.reshape(self.taps, 2)
        return self.out(multi_scale_dcn(projection, prior, s_max, self.groups, self.taps))


class SwiGLU(nn.Module):
    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(hidden, width, bias=False)
        self.w3 = nn.Linear(hidden, width, bias=False)
        self.w2 = nn.Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


def _modulation(hidden: int, chunks: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(hidden, chunks * hidden))


class Block(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.norm1 = RMSNorm(arch.hidden)
        self.attn = DeformableMixer(arch)
        self.norm2 = RMSNorm(arch.hidden)
        self.mlp = SwiGLU(arch.hidden, arch.ffn)
        self.adaLN_modulation = _modulation(arch.hidden, 6)

    def forward(self, x: Tensor, condition: Tensor, s_max: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, -1)
        x = x + gate1[:, None, None] * self.attn(modulate(self.norm1(x), shift1, scale1), s_max)
        return x + gate2[:, None, None] * self.mlp(modulate(self.norm2(x), shift2, scale2))


class _PatchEmbedder(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.proj = nn.Conv2d(arch.channels, arch.hidden, arch.patch, arch.patch)


class _TimeEmbedder(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIME_FEATURES, hidden), nn.SiLU(), nn.Linear(hidden, hidden))


class _LabelEmbedder(nn.Module):
    def __init__(self, classes: int, hidden: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, hidden)


class _FinalLayer(nn.Module):
    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.linear = nn.Linear(arch.hidden, arch.patch**2 * arch.out_channels)
        self.adaLN_modulation = _modulation(arch.hidden, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, -1)
        return self.linear(modulate(F.layer_norm(x, x.shape[-1:], eps=NORM_EPSILON), shift, scale))


class FlowDCN(nn.Module):
    """A class-conditional velocity field. Parameters are initialised as the released code does."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.x_embedder = _PatchEmbedder(arch)
        self.t_embedder = _TimeEmbedder(arch.hidden)
        self.y_embedder = _LabelEmbedder(arch.classes, arch.hidden)
        self.final_layer = _FinalLayer(arch)
        self.blocks = nn.ModuleList([Block(arch) for _ in range(arch.blocks)])
        self._initialise()

    def forward(self, x: Tensor, t: Tensor, y: Tensor, s_max: Tensor | None = None) -> Tensor:
        """Velocity at noisy pictures.

        Args: x [N, C, H, W]; t [N] in [0, 1] (0 noise, 1 data); y [N] class indices, `classes` is the null class;
        s_max [N, blocks, 2] reach in token pixels as (x, y), 6 everywhere when None.
        Returns [N, C, H, W]; where the network also predicts sigma, that half is dropped.
        """
        a = self.arch
        N, _, H, W = x.shape
        if s_max is None:
            s_max = x.new_full((N, a.blocks, 2), REACH)
        condition = self.t_embedder.mlp(time_features(t)) + self.y_embedder.embedding_table(y)
        tokens = self.x_embedder.proj(x).permute(0, 2, 3, 1).float()  # the residual stream, under autocast too
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, condition, s_max[:, i])
        patches = self.final_layer(tokens, condition)
        patches = patches.reshape(N, H // a.patch, W // a.patch, a.patch, a.patch, a.out_channels)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(N, a.out_channels, H, W)[:, : a.channels]

    def _initialise(self) -> None:
        for linear in _linears(self):
            # The mixer has zeroed its own: every tap starts on the grid.
            if linear.weight.any():
                nn.init.xavier_uniform_(linear.weight)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        nn.init.xavier_uniform_(self.x_embedder.proj.weight.flatten(1))
        nn.init.normal_(self.y_embedder.embedding_table.weight, std=0.02)
        for linear in _linears(self.t_embedder):
            nn.init.normal_(linear.weight, std=0.02)
        # Every block starts as the identity and the output as zero (adaLN-Zero).
        zeroed = [m for name, m in self.named_modules() if name.endswith("adaLN_modulation")]
        for module in (*zeroed, self.final_layer):
            for linear in _linears(module):
                nn.init.zeros_(linear.weight)


def _linears(module: nn.Module) -> list[nn.Linear]:
    return [m for m in module.modules() if isinstance(m, nn.Linear)]
