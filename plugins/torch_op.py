"""MultiScaleDCN as a torch custom operator: `torch.ops.fdcn.multi_scale_dcn`, traceable and trainable.

It runs compiled kernels: numba's on a CPU, Triton's on a CUDA GPU. `multi_scale_dcn_eager` says the same in plain
torch operations: the baseline that benchmarks compare with, the oracle of the gradient, and what runs where the
compiler is not installed and on any other device.
"""

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from fdcn.plugins import spec


def multi_scale_dcn_eager(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    """The operator of `spec` in plain torch operations, differentiable by autograd.

    Args: projection [N, H, W, G·C + G·K·4] in float32, float16 or bfloat16; prior [K, 2] and s_max [N, 2] float32.
    Returns [N, H, W, G·C] in the projection's dtype. All taps are gathered at once: memory grows with 4·K·G·C.
    """
    N, H, W, width = projection.shape
    G, K = groups, taps
    values = spec.value_width(width, G, K)
    C = values // G
    v = projection[..., :values].float().reshape(N, H * W, G, C).transpose(1, 2)
    tap = projection[..., values:].float().reshape(N, H * W, G, K, 4).transpose(1, 2)
    column = torch.arange(W, device=v.device, dtype=torch.float32).repeat(H).reshape(1, 1, H * W, 1)
    row = torch.arange(H, device=v.device, dtype=torch.float32).repeat_interleave(W).reshape(1, 1, H * W, 1)

    def position(tap: Tensor) -> tuple[Tensor, Tensor]:
        offset = (tap[..., :2] + prior) * (torch.sigmoid(tap[..., 2:3]) * s_max.reshape(N, 1, 1, 1, 2))
        return column + offset[..., 0], row + offset[..., 1]

    with torch.no_grad():
        x, y = position(tap)
        inside = (x > spec.LOWER_BOUND) & (x < W) & (y > spec.LOWER_BOUND) & (y < H)
    # Selected before the arithmetic and not only after it: autograd multiplies its zeros with what a tap holds.
    tap = torch.where(inside.unsqueeze(-1), tap, 0)
    x, y = (torch.where(inside, p, 0) for p in position(tap))
    a = tap[..., 3]
    x0, y0 = x.detach().trunc(), y.detach().trunc()
    fx, fy = x - x0, y - y0
    out = v.new_zeros(N, G, H * W, K, C)
    for j in (0, 1):
        for i in (0, 1):
            xi, yi = x0.long() + i, y0.long() + j
            use = inside & (xi >= 0) & (xi < W) & (yi >= 0) & (yi < H)
            weight = torch.where(use, (fx if i else 1 - fx) * (fy if j else 1 - fy) * a, 0)
            index = (yi.clamp(0, H - 1) * W + xi.clamp(0, W - 1)).reshape(N, G, H * W * K, 1).expand(-1, -1, -1, C)
            sample = v.gather(2, index).reshape(N, G, H * W, K, C)
            out = out + weight.unsqueeze(-1) * torch.where(use.unsqueeze(-1), sample, 0)
    return out.sum(3).transpose(1, 2).reshape(N, H, W, values).to(projection.dtype)


@torch.library.custom_op(spec.TORCH_NAME, mutates_args=())
def multi_scale_dcn(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    """The operator of `spec`; compiled kernels where there is a compiler, torch operations elsewhere."""
    if not _compiled(projection):
        return multi_scale_dcn_eager(projection, prior, s_max, groups, taps).contiguous()
    forward, _ = _kernels(projection.device.type)
    return forward(projection, prior, s_max, groups, taps)


@multi_scale_dcn.register_fake
def _(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    return projection.new_empty((*projection.shape[:3], projection.shape[3] - groups * taps * len(spec.TAP_FIELDS)))


@torch.library.custom_op(spec.TORCH_NAME + "_backward", mutates_args=())
def _backward(grad: Tensor, projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    _, backward = _kernels(projection.device.type)
    return backward(grad, projection, prior, s_max, groups, taps)


@_backward.register_fake
def _(grad: Tensor, projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    return torch.empty_like(projection)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs[:3])
    ctx.layout = inputs[3:]


def _gradient(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
    # prior and s_max are not trained: the prior is frozen, s_max is chosen by the sampler.
    backward = _backward if _compiled(grad) else _backward_eager
    return backward(grad.contiguous(), *ctx.saved_tensors, *ctx.layout), None, None, None, None


def _backward_eager(grad: Tensor, projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    # Here and not in a custom operator, whose body autograd does not see.
    with torch.enable_grad():
        leaf = projection.detach().requires_grad_()
        out = multi_scale_dcn_eager(leaf, prior, s_max, groups, taps)
    return torch.autograd.grad(out, leaf, grad)[0]


multi_scale_dcn.register_autograd(_gradient, setup_context=_save)

_COMPILERS = {"cpu": "numba", "cuda": "triton"}


def _compiled(tensor: Tensor) -> bool:
    compiler = _COMPILERS.get(tensor.device.type)
    return compiler is not None and importlib.util.find_spec(compiler) is not None


def _kernels(device: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """(forward, backward) with the arguments of the two custom operators."""
    if device == "cuda":
        from fdcn.plugins import triton_kernel

        return triton_kernel.forward, triton_kernel.backward
    return _forward_cpu, _backward_cpu


def _forward_cpu(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    from fdcn.plugins import cpu_kernel

    values = spec.value_width(projection.shape[3], groups, taps)
    out = torch.empty(*projection.shape[:3], values)
    forward, _ = cpu_kernel.kernels(groups, values // groups, taps)
    forward(*map(_float_array, (projection, prior, s_max)), out.numpy())
    return out.to(projection.dtype)


def _backward_cpu(grad: Tensor, projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    from fdcn.plugins import cpu_kernel

    result = torch.zeros(projection.shape)
    _, backward = cpu_kernel.kernels(groups, grad.shape[3] // groups, taps)
    backward(*map(_float_array, (grad, projection, prior, s_max)), result.numpy())
    return result.to(projection.dtype)


def _float_array(tensor: Tensor):  # type: ignore[no-untyped-def]
    return tensor.detach().float().contiguous().numpy()
