"""MultiScaleDCN as a torch custom operator: `torch.ops.fdcn.multi_scale_dcn`, traceable and trainable.

`multi_scale_dcn_eager` says the same in plain torch operations: the baseline that benchmarks compare with, the
oracle of the gradient, and what runs where numba is not installed.
"""

import importlib.util

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
    offset = (tap[..., :2] + prior) * (torch.sigmoid(tap[..., 2:3]) * s_max.reshape(N, 1, 1, 1, 2))
    column = torch.arange(W, device=v.device, dtype=torch.float32).repeat(H).reshape(1, 1, H * W, 1)
    row = torch.arange(H, device=v.device, dtype=torch.float32).repeat_interleave(W).reshape(1, 1, H * W, 1)
    x, y, a = offset[..., 0] + column, offset[..., 1] + row, tap[..., 3]

    inside = (x > spec.LOWER_BOUND) & (x < W) & (y > spec.LOWER_BOUND) & (y < H)
    x, y = torch.where(inside, x, 0), torch.where(inside, y, 0)
    x0, y0 = x.detach().trunc(), y.detach().trunc()
    fx, fy = x - x0, y - y0
    out = v.new_zeros(N, G, H * W, K, C)
    for j in (0, 1):
        for i in (0, 1):
            xi, yi = x0.long() + i, y0.long() + j
            weight = (fx if i else 1 - fx) * (fy if j else 1 - fy) * a
            index = (yi.clamp(0, H - 1) * W + xi.clamp(0, W - 1)).reshape(N, G, H * W * K, 1).expand(-1, -1, -1, C)
            sample = v.gather(2, index).reshape(N, G, H * W, K, C)
            use = inside & (xi >= 0) & (xi < W) & (yi >= 0) & (yi < H)
            out = out + torch.where(use.unsqueeze(-1), weight.unsqueeze(-1) * sample, 0)
    return out.sum(3).transpose(1, 2).reshape(N, H, W, values).to(projection.dtype)


@torch.library.custom_op(spec.TORCH_NAME, mutates_args=())
def multi_scale_dcn(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    """The operator of `spec`; compiled loops on a CPU where numba is installed, torch operations elsewhere."""
    if not _compiled(projection):
        return multi_scale_dcn_eager(projection, prior, s_max, groups, taps).contiguous()
    p, values = _float_array(projection), spec.value_width(projection.shape[3], groups, taps)
    out = torch.empty(*projection.shape[:3], values)
    forward, _ = _kernels(groups, values // groups, taps)
    forward(p, _float_array(prior), _float_array(s_max), out.numpy())
    return out.to(projection.dtype)


@multi_scale_dcn.register_fake
def _(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    return projection.new_empty((*projection.shape[:3], projection.shape[3] - groups * taps * len(spec.TAP_FIELDS)))


@torch.library.custom_op(spec.TORCH_NAME + "_backward", mutates_args=())
def _backward(grad: Tensor, projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
    _, backward = _kernels(groups, grad.shape[3] // groups, taps)
    result = torch.zeros(projection.shape)
    backward(*map(_float_array, (grad, projection, prior, s_max)), result.numpy())
    return result.to(projection.dtype)


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


def _compiled(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and importlib.util.find_spec("numba") is not None


def _kernels(groups: int, channels: int, taps: int):  # type: ignore[no-untyped-def]
    from fdcn.plugins.cpu_kernel import kernels

    return kernels(groups, channels, taps)


def _float_array(tensor: Tensor):  # type: ignore[no-untyped-def]
    return tensor.detach().float().contiguous().numpy()
