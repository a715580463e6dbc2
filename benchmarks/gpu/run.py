"""Check and time what only a machine with an NVIDIA GPU can, into benchmarks/results: `make gpu`.

What has passed with the same sources on such a machine is not run again, so that an interrupted run goes on where it
was. GPU_BUDGET_S is the most seconds to take.
"""

import argparse
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import stages

from fdcn import gpu
from fdcn.errors import FdcnError

STAGES = ("kernel", "engine", "cpp", "bench_xl2", "baselines_xl2", "fp8_xl2")
"""Files of this folder, in order."""
PACKAGES = ("numpy", "onnxruntime", "torch", "triton", "cuda-bindings", "tensorrt", "tensorrt-cu12-bindings")
PACKAGES += ("tensorrt-cu13-bindings", "tensorrt-rtx-cu13-bindings")
BUDGET_SECONDS = 1500.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"only these of {', '.join(STAGES)} (default: all)")
    parser.add_argument("--plan", action="store_true", help="say what would be run, and run nothing")
    options = parser.parse_args()
    if unknown := {*options.stages} - {*STAGES}:
        parser.error(f"there is no stage {unknown.pop()!r}")
    try:
        device = gpu.first()
    except FdcnError as error:
        sys.exit(f"error: {error}")
    if device is None and not options.plan:
        sys.exit(
            "error: these checks need an NVIDIA GPU and its driver, and there is none here; `make test` needs none"
        )
    chosen = [stages.read(module) for module in options.stages or STAGES]
    results = stages.ROOT / "benchmarks" / "results"
    run = stages.Run(chosen, describe(device), results, work_folder(), stages.ROOT)
    if options.plan:
        for stage, check, passed in run.plan():
            print(f"{stage.name}: {check}: {'passed before' if passed else 'to run'}")
        return
    left_open = run.go(float(os.environ.get("GPU_BUDGET_S", BUDGET_SECONDS)), lambda line: print(line, flush=True))
    print("everything has passed" if not left_open else "\nnot passed:")
    for name, reason in left_open.items():
        print(f"  {name}: {reason}")
    sys.exit(bool(left_open))


def work_folder() -> Path:
    """Where checks leave what is large."""
    return stages.ROOT / "build" / "gpu"


def describe(device: gpu.Gpu | None) -> dict[str, Any]:
    """What the results depend on beside the sources."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "gpu": device
        and {"name": device.name, "compute": device.compute, "cuda": device.cuda, "driver": device.driver},
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


if __name__ == "__main__":
    main()
