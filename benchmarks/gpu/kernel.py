"""Stage gpu-kernel: the operator's kernel on this GPU against the NumPy oracle, then its time beside every step's.

    python benchmarks/gpu/kernel.py --out FOLDER [--released FLOWDCN]

runs what FOLDER/gpu-kernel.json does not have yet. FLOWDCN is a clone of MCG-NJU/FlowDCN, for the time of its Triton
kernel ($FLOWDCN_SOURCE says the same to `make gpu`).
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kernel_checks
import kernel_times
import stages
from stages import ROOT

NAME = "gpu-kernel"
SOURCES = ("plugins/*.py", "plugins/native/*.cu", "plugins/native/*.cuh", "plugins/native/*.h", "benchmarks/kernels/*")
SOURCES += ("benchmarks/gpu/kernel*.py", "benchmarks/gpu/compiled.py", "benchmarks/gpu/stages.py", "tests/oracles.py")

CHECKS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "compile": kernel_checks.compile_all,
    **{f"oracle {dtype}": kernel_checks.against_oracle(dtype) for dtype in ("float16", "float32", "bfloat16")},
    "refusals": kernel_checks.refusals,
    "steps": kernel_checks.steps,
    **{name: kernel_times.timed(side) for name, side in kernel_times.SIDES.items()},
    "released kernel": kernel_times.released,
    "compute-sanitizer": kernel_checks.sanitized,
    "NVRTC from Python": kernel_checks.from_python,
    "torch operator": kernel_checks.torch_operator,
}


def main() -> None:
    import run

    from fdcn import gpu

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="where gpu-kernel.json is")
    parser.add_argument("--released", type=Path, help="a clone of MCG-NJU/FlowDCN")
    options = parser.parse_args()
    if options.released:
        os.environ["FLOWDCN_SOURCE"] = str(options.released.resolve())
    device = gpu.first()
    if device is None:
        parser.error("this needs an NVIDIA GPU and its driver")
    whole = stages.Run([stages.read("kernel")], run.describe(device), options.out, run.work_folder(), ROOT)
    left_open = whole.go(stages.STAGE_SECONDS, lambda line: print(line, flush=True))
    sys.exit(bool(left_open))


if __name__ == "__main__":
    main()
