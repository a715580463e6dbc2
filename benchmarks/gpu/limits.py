"""What this GPU can do at most: the rate of a large product, of a copy, and the time of a network's own products."""

import dataclasses
from collections.abc import Callable, Mapping

import clock
import torch

from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.models.flowdcn.graphs import FFN_MULTIPLE
from fdcn.plugins import spec

SIDE, COPY_BYTES = 8192, 1 << 30
Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Product:
    """A linear layer, so many times with weights of its own: [rows, inside] @ [inside, columns]."""

    count: int
    inside: int
    columns: int
    bias: bool

    def macs(self, rows: int) -> int:
        return self.count * rows * self.inside * self.columns


def products(arch: Architecture) -> dict[str, Product]:
    """The products of FlowDCN's denoiser as it is exported."""
    h, n, ends = arch.hidden, arch.blocks, arch.patch**2 * arch.channels
    ffn = arch.ffn + -arch.ffn % FFN_MULTIPLE
    width = spec.projection_width(arch.groups, h // arch.groups, arch.taps)
    return {
        "embedding": Product(1, ends, h, True),
        "projection": Product(n, h, width, True),
        "out": Product(n, h, h, True),
        "w1 and w3": Product(2 * n, h, ffn, False),
        "w2": Product(n, ffn, h, False),
        "head": Product(1, h, ends, True),
    }


def works(arch: Architecture, rows: int, dtype: torch.dtype, device: str) -> dict[str, Work]:
    """Each product alone, with weights stored either way; the library is free to choose how.

    The weights are as many as the network has, so that they come from memory as they do there.
    """
    made: dict[str, Work] = {}
    for name, product in products(arch).items():
        x = torch.randn(rows, product.inside, dtype=dtype, device=device)
        weights = torch.randn(product.count, product.inside, product.columns, dtype=dtype, device=device)
        turned = weights.mT.contiguous().mT
        bias = torch.randn(product.columns, dtype=dtype, device=device) if product.bias else None
        for layout, stored in (("in, out", weights), ("out, in", turned)):
            made[f"{name} [{layout}]"] = _every(x, stored, bias)
    return made


def _every(x: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None) -> Work:
    def work() -> None:
        for weight in weights:
            if bias is None:
                torch.mm(x, weight)
            else:
                torch.addmm(bias, x, weight)

    return work


def best(medians: Mapping[str, float]) -> dict[str, float]:
    """Of the two layouts of each product, the faster one's seconds."""
    result: dict[str, float] = {}
    for name, seconds in medians.items():
        product = name.partition(" [")[0]
        result[product] = min(seconds, result.get(product, seconds))
    return result


def device_works(dtype: torch.dtype, device: str, side: int = SIDE, copied: int = COPY_BYTES) -> dict[str, Work]:
    """The large product and the copy."""
    a, b = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    source = torch.empty(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {"product": lambda: torch.mm(a, b), "copy": lambda: target.copy_(source)}


def rates(medians: Mapping[str, float], side: int = SIDE, copied: int = COPY_BYTES) -> dict[str, float]:
    """Operations a second, and bytes a second, those read and those written both counted."""
    return {
        "flop_per_second": 2 * side**3 / medians["product"],
        "bytes_per_second": 2 * copied / medians["copy"],
    }


def measured(dtype: torch.dtype, device: str = "cuda", repeats: int = 20) -> dict[str, float]:
    """Both rates."""
    taken = clock.interleaved(device_works(dtype, device), device, repeats)
    return rates({name: sorted(samples)[len(samples) // 2] for name, samples in taken.items()})
