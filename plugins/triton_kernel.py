"""MultiScaleDCN on a GPU, for training and for the reference network: Triton kernels, forward and backward.

A program owns a block of tokens and one group. The group's channels are one block, whose lanes beyond C are masked,
so any C goes. Offsets are int64 and arithmetic is float32. A tap that does not count is taken out by selection,
before its position becomes an integer, and so is a corner outside the grid.
"""

# mypy: disable-error-code="import-untyped, no-untyped-def, untyped-decorator"
# Triton has no types, and compiles functions whose arguments have none.

import torch
import triton
import triton.language as tl
from torch import Tensor

from fdcn.plugins import spec

ELEMENTS = 1024
"""Values of a program, all its tokens and channels: 8 a thread of four warps."""
_LOWER = tl.constexpr(spec.LOWER_BOUND)
_FIELDS = tl.constexpr(len(spec.TAP_FIELDS))


def forward(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    """The operator of `spec`: [N, H, W, G·C] in the projection's dtype."""
    N, H, W, width = projection.shape
    values = spec.value_width(width, groups, taps)
    out = projection.new_empty(N, H, W, values)
    sizes = layout(groups, values // groups, taps)
    with torch.cuda.device_of(projection):
        _forward[grid(N * H * W, sizes)](*_plain(projection, prior, s_max), out, N * H * W, H, W, **sizes)
    return out


def backward(grad: Tensor, projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    """Gradient of the projection, from that of the output.

    A value's gradient is a sum of atomic additions, whose order differs from run to run.
    """
    N, H, W, _ = projection.shape
    # In float32 whatever the projection is: many taps read a cell.
    result = torch.zeros(projection.shape, device=projection.device)
    sizes = layout(groups, grad.shape[3] // groups, taps)
    tensors = _plain(grad, projection, prior, s_max)
    with torch.cuda.device_of(projection):
        _backward[grid(N * H * W, sizes)](*tensors, result, N * H * W, H, W, **sizes)
    return result.to(projection.dtype)


def layout(groups: int, channels: int, taps: int) -> dict[str, int]:
    """What a kernel is compiled for: G, C, K, and the tokens and lanes of a program, which are powers of two."""
    lanes = triton.next_power_of_2(channels)
    return {"G": groups, "C": channels, "K": taps, "TOKENS": max(1, ELEMENTS // lanes), "LANES": lanes}


def grid(tokens: int, sizes: dict[str, int]) -> tuple[int, int]:
    """Programs of a launch: blocks of tokens, groups. A grid must not be empty, a program may be."""
    return max(1, triton.cdiv(tokens, sizes["TOKENS"])), sizes["G"]


def _plain(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().contiguous() for tensor in tensors]


@triton.jit
def _forward(projection, prior, s_max, out, tokens, H, W, G: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
             TOKENS: tl.constexpr, LANES: tl.constexpr):  # fmt: skip
    g = tl.program_id(1)
    token, image, row, column, live = _cells(tokens, H, W, TOKENS)
    lane = tl.arange(0, LANES)[None, :]
    total = tl.zeros((TOKENS, LANES), tl.float32)
    for k in range(K):
        tap = token * (G * (C + K * _FIELDS)) + G * C + (g * K + k) * _FIELDS
        x, y, a, counts, _, _, _, _, _ = _land(projection + tap, prior + 2 * k, s_max, image, row, column, live, H, W)
        for corner in tl.static_range(4):
            weight_x, weight_y, cell, use = _corner(corner, x, y, counts, image, H, W)
            read = use[:, None] & (lane < C)
            values = projection + (cell * (G * (C + K * _FIELDS)) + g * C)[:, None] + lane
            value = tl.load(values, read, 0.0).to(tl.float32)
            total += tl.where(read, (a * weight_x * weight_y)[:, None] * value, 0.0)
    written = out + (token * (G * C) + g * C)[:, None] + lane
    tl.store(written, total.to(out.dtype.element_ty), live[:, None] & (lane < C))


@triton.jit
def _backward(grad, projection, prior, s_max, result, tokens, H, W, G: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
              TOKENS: tl.constexpr, LANES: tl.constexpr):  # fmt: skip
    g = tl.program_id(1)
    token, image, row, column, live = _cells(tokens, H, W, TOKENS)
    lane = tl.arange(0, LANES)[None, :]
    grads = grad + (token * (G * C) + g * C)[:, None] + lane
    grad_out = tl.load(grads, live[:, None] & (lane < C), 0.0).to(tl.float32)
    for k in range(K):
        tap = token * (G * (C + K * _FIELDS)) + G * C + (g * K + k) * _FIELDS
        x, y, a, counts, dx, dy, sigmoid, reach_x, reach_y = _land(
            projection + tap, prior + 2 * k, s_max, image, row, column, live, H, W
        )
        grad_a = tl.zeros((TOKENS,), tl.float32)
        grad_x = tl.zeros((TOKENS,), tl.float32)
        grad_y = tl.zeros((TOKENS,), tl.float32)
        for corner in tl.static_range(4):
            weight_x, weight_y, cell, use = _corner(corner, x, y, counts, image, H, W)
            read = use[:, None] & (lane < C)
            values = (cell * (G * (C + K * _FIELDS)) + g * C)[:, None] + lane
            value = tl.load(projection + values, read, 0.0).to(tl.float32)
            tl.atomic_add(result + values, (a * weight_x * weight_y)[:, None] * grad_out, read, sem="relaxed")
            dot = tl.sum(grad_out * value, 1)
            grad_a += tl.where(use, weight_x * weight_y * dot, 0.0)
            grad_x += tl.where(use, (weight_y if corner % 2 else -weight_y) * dot, 0.0)
            grad_y += tl.where(use, (weight_x if corner // 2 else -weight_x) * dot, 0.0)
        grad_x *= a * reach_x
        grad_y *= a * reach_y
        grad_s = (grad_x * dx + grad_y * dy) * sigmoid * (1 - sigmoid)
        # Only this program writes these four.
        tl.store(result + tap, tl.where(counts, grad_x * sigmoid, 0.0), live)
        tl.store(result + tap + 1, tl.where(counts, grad_y * sigmoid, 0.0), live)
        tl.store(result + tap + 2, tl.where(counts, grad_s, 0.0), live)
        tl.store(result + tap + 3, tl.where(counts, grad_a, 0.0), live)


@triton.jit
def _cells(tokens, H, W, TOKENS: tl.constexpr):
    """Number, image, row and column of each token of a program, and whether there is one."""
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    image, cell = token // (H * W), token % (H * W)
    return token, image, cell // W, cell % W, token < tokens


@triton.jit
def _land(tap, prior, s_max, image, row, column, live, H, W):
    """Where taps land, (0, 0) where they do not count; weight and whether they count; what the gradient needs."""
    dx = tl.load(tap, live, 0.0).to(tl.float32) + tl.load(prior)
    dy = tl.load(tap + 1, live, 0.0).to(tl.float32) + tl.load(prior + 1)
    sigmoid = tl.sigmoid(tl.load(tap + 2, live, 0.0).to(tl.float32))
    a = tl.load(tap + 3, live, 0.0).to(tl.float32)
    reach_x = tl.load(s_max + 2 * image, live, 0.0)
    reach_y = tl.load(s_max + 2 * image + 1, live, 0.0)
    x = column.to(tl.float32) + dx * (sigmoid * reach_x)
    y = row.to(tl.float32) + dy * (sigmoid * reach_y)
    counts = live & (x > _LOWER) & (x < W) & (y > _LOWER) & (y < H)
    return tl.where(counts, x, 0.0), tl.where(counts, y, 0.0), a, counts, dx, dy, sigmoid, reach_x, reach_y


@triton.jit
def _corner(corner: tl.constexpr, x, y, counts, image, H, W):
    """Weights along both axes, the cell's number and whether it is read, of corner 2·(one down) + (one right)."""
    # The conversion rounds toward zero, as the contract has it.
    left, top = x.to(tl.int32), y.to(tl.int32)
    right, below = x - left.to(tl.float32), y - top.to(tl.float32)
    column, row = left + corner % 2, top + corner // 2
    use = counts & (column >= 0) & (column < W) & (row >= 0) & (row < H)
    weight_x = right if corner % 2 else 1 - right
    weight_y = below if corner // 2 else 1 - below
    return weight_x, weight_y, (image * H + row) * W + column, use
