"""What a result says of where it was measured."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from fdcn import __version__
from fdcn.gpu import Gpu

PACKAGES = (
    "numpy",
    "onnxruntime",
    "cuda-bindings",
    "tensorrt",
    "tensorrt-cu12-bindings",
    "tensorrt-cu13-bindings",
    "tensorrt-rtx-cu12-bindings",
    "tensorrt-rtx-cu13-bindings",
)
"""Whose versions a result has, where they are installed."""
WIDE = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def machine(gpu: Gpu | None) -> dict[str, Any]:
    """Processor, system and GPU, as JSON values."""
    found = {"name": gpu.name, "compute": gpu.compute, "memory": gpu.memory, "driver": gpu.driver} if gpu else None
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "gpu": found,
    }


def versions() -> dict[str, str]:
    """Of Python, fdcn and what it runs on."""
    known = {"python": platform.python_version(), "fdcn": __version__}
    for package in PACKAGES:
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return known


def processor() -> str:
    """The processor's name as the system gives it, with the vector extensions that GEMMs use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    entries = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {key.strip(): value.strip() for key, value in entries.items()}
    flags = known.get("flags", "").split()
    return f"{known.get('model name', platform.processor())} ({', '.join(flag for flag in WIDE if flag in flags)})"
