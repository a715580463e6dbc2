"""What stage gpu-bench checks of single steps: against the roofline, against their own products, by size."""

import statistics
import time
from pathlib import Path
from typing import Any

import clock
import limits
import machine
import torch
import xl2
from stages import Failed

OVER_ROOFLINE, OVER_PRODUCTS, OF_PRODUCT_RATE, TOKEN_RATIO = 1.5, 1.25, 0.65, 1.25
"""What is to be reached: a step over its roofline, and over its own products; a batch's rate; 1024 px over 256."""
REPEATS = 50


def exported(work: Path) -> dict[str, Any]:
    """XL/2 with random weights as a bundle."""
    start = time.perf_counter()
    bundle = xl2.place(work).bundle("FlowDCN", 256)
    return {"seconds": time.perf_counter() - start, "parameters": bundle.manifest.model.parameters}


def built(work: Path, precision: str) -> dict[str, Any]:
    """Its engine, by fdcn."""
    bundle, seconds = xl2.built(work, precision)
    engine = next(e for e in bundle.manifest.engines if e.target and e.target.precision == precision)
    sizes = {name: bundle.manifest.files[graph.file].bytes for name, graph in engine.graphs.items()}
    return {"seconds": seconds, "profiles": xl2.PROFILES, "bytes": sizes}


def step(work: Path, precision: str) -> dict[str, Any]:
    """A guided pair at 256 px, in turns with the large product and the copy; then its own products, each alone."""
    given = xl2.subject(work, 256)
    _, call = xl2.bound(work, precision, given)
    dtype = getattr(torch, precision)
    taken = clock.interleaved({"step": call, **limits.device_works(dtype, "cuda")}, "cuda", REPEATS)
    medians = {name: statistics.median(samples) for name, samples in taken.items()}
    rates = limits.rates(medians)
    weights = dtype.itemsize * sum(p.numel() for p in given.denoiser.parameters())
    roofline = 2 * given.macs / rates["flop_per_second"] + weights / rates["bytes_per_second"]
    rows = given.ahead["latent"].shape[0] * 256
    arch = xl2.place(work).flowdcn
    alone = clock.interleaved(limits.works(arch, rows, dtype, "cuda"), "cuda", REPEATS)
    products = limits.best({name: statistics.median(samples) for name, samples in alone.items()})
    operator = operator_bound(work, arch.blocks)
    numbers: dict[str, Any] = {
        "seconds": {name: machine.summary(samples) for name, samples in taken.items()},
        **rates,
        "roofline_seconds": roofline,
        "product_seconds": products,
        "operator_seconds": operator,
        "over_roofline": medians["step"] / roofline,
        "over_products": medians["step"] / (sum(products.values()) + operator),
    }
    return accepted(numbers, over_roofline=(0, OVER_ROOFLINE), over_products=(0, OVER_PRODUCTS))


def operator_bound(work: Path, blocks: int) -> float:
    """Seconds of a plain gather of what the operator gathers, through the cache, in all blocks."""
    import compiled
    from kernel_times import GROUPS, TAPS, WIDTH

    words = ("--layout", f"2,16,16,{GROUPS},{WIDTH},{TAPS}", "--samples", 30)
    gathers = compiled.run(compiled.compiled(work, compiled.GATHER), *words)
    return blocks * min(statistics.median(gather["resident_seconds"]) for gather in gathers)


def batch(work: Path, precision: str) -> dict[str, Any]:
    """A large batch at 256 px: the share of the large product's rate."""
    given = xl2.subject(work, 256, xl2.ROWS)
    _, call = xl2.bound(work, precision, given)
    works = {"step": call, **limits.device_works(getattr(torch, precision), "cuda")}
    taken = clock.interleaved(works, "cuda", REPEATS)
    medians = {name: statistics.median(samples) for name, samples in taken.items()}
    rate = 2 * given.macs / medians["step"]
    numbers = {
        "rows": xl2.ROWS,
        "seconds": {name: machine.summary(samples) for name, samples in taken.items()},
        "flop_per_second": rate,
        "of_product_rate": rate / limits.rates(medians)["flop_per_second"],
    }
    return accepted(numbers, of_product_rate=(OF_PRODUCT_RATE, 1))


def sizes(work: Path, precision: str) -> dict[str, Any]:
    """A guided pair at three sizes, and the time a token of the largest over that of the smallest."""
    seconds = {}
    for px in xl2.OF_PX:
        _, call = xl2.bound(work, precision, xl2.subject(work, px))
        (samples,) = clock.interleaved({"step": call}, "cuda", REPEATS).values()
        seconds[px] = machine.summary(samples)
    of_token = {px: entry["median"] / (2 * (px // 16) ** 2) for px, entry in seconds.items()}
    numbers = {"seconds": seconds, "token_seconds": of_token, "token_ratio": of_token[1024] / of_token[256]}
    return accepted(numbers, token_ratio=(0, TOKEN_RATIO))


def accepted(numbers: dict[str, Any], **wanted: tuple[float, float]) -> dict[str, Any]:
    """The numbers, with what was wanted. Raises Failed with them where one is not between its two limits."""
    told, missing = numbers | {"wanted": wanted}, float("nan")
    if wrong := [
        f"{name} is {numbers.get(name, missing):.3g}, wanted {low:g} to {high:g}"
        for name, (low, high) in wanted.items()
        if not low <= numbers.get(name, missing) <= high
    ]:
        raise Failed("; ".join(wrong), told)
    return told
