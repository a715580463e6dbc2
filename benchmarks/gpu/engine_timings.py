"""What a warm timing cache saves: TensorRT's own time for one graph, the cache empty and then full."""

import time
from pathlib import Path
from typing import Any

import torch
from bench_step import export_network, random_network
from stages import Failed

from fdcn.bundle import Bundle
from fdcn.export import profiles, tensorrt_worker
from fdcn.export.tensorrt_graphs import prepare, shapes
from fdcn.export.tensorrt_job import Job
from fdcn.plugins import flavours, libraries, tensorrt_plugin

WARM_SPEEDUP = 5.0


def cold_and_warm(work: Path, flavour_name: str = "tensorrt", compute: tuple[str, ...] = ()) -> dict[str, Any]:
    """Build S/2's denoiser in float16 twice."""
    bundle = s2(work / "s2")
    flavour = flavours.load(flavour_name)
    kept = tensorrt_plugin.register(flavour, "library", libraries.build("tensorrt"))
    prepared = prepare(
        bundle.graph(bundle.manifest.graphs["denoiser"]), work / "s2", "denoiser", "float16", plugin=True
    )
    sizes = profiles.axes("denoiser", profiles.resolve(bundle.manifest, ()), bundle.manifest.pixel_factor)
    job = Job(flavour.name, "float16", "library", None, list(compute), None, False, None, str(work), [])
    logger = tensorrt_worker.quiet_logger(flavour)
    known, seconds = b"", {}
    for name in ("cold", "warm"):
        builder = flavours.builder(flavour, logger)
        network = tensorrt_worker.parse(flavour, logger, builder, prepared, plugin=True)
        config = tensorrt_worker.configure(flavour, builder, job, [shapes(prepared, axes) for axes in sizes])
        assert config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False)
        start = time.perf_counter()
        plan = builder.build_serialized_network(network, config)
        seconds[name] = time.perf_counter() - start
        assert plan is not None, logger.errors
        known = bytes(config.get_timing_cache().serialize())
    del kept
    told = {"graph": "S/2 denoiser, random weights, float16", "seconds": seconds, "cache_bytes": len(known)}
    told["warm_speedup"] = seconds["cold"] / seconds["warm"]
    if told["warm_speedup"] < WARM_SPEEDUP:
        raise Failed(f"a warm timing cache builds {told['warm_speedup']:.1f} times as fast, not {WARM_SPEEDUP:g}", told)
    return told


def s2(folder: Path) -> Bundle:
    """S/2 with random weights, exported."""
    if (folder / "bundle" / "manifest.json").exists():
        return Bundle.open(folder / "bundle")
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    folder.mkdir(exist_ok=True)
    return export_network(random_network(), folder)
