"""Time and peak memory of `fdcn calibrate` on S/2 with random weights, by samples, each in a process of its own."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import machine
import torch
from apart import run_apart
from bench_step import export_network, random_network

SAMPLES = (8, 64)
CALIBRATE = """
import json, resource, sys, time
start = time.perf_counter()
from fdcn.bench.memory import peak_resident
from fdcn.cli import cli
cli(["calibrate", *sys.argv[1:]], standalone_mode=False)
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "cpu_seconds": sum(u.ru_utime + u.ru_stime for u in usage),
    "peak_bytes": peak_resident(),
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES), help="default: 8 64")
    parser.add_argument("--steps", type=int, default=10, help="evaluations of each sample (default: 10)")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder:
        bundle = export_network(random_network(), Path(folder)).path
        rows = {str(count): calibrate_apart(bundle, count, options.steps) for count in options.samples}
    result = {"model": "S/2, random weights", "steps": options.steps, "samples": rows}
    for count, row in rows.items():
        print(f"{count:>4} samples: {row['seconds']:.0f} s, peak {row['peak_bytes'] / 1e9:.2f} GB")
    print(f"wrote {machine.write('calibrate', machine.describe(['onnxruntime', 'numpy']) | result)}")


def calibrate_apart(bundle: Path, samples: int, steps: int) -> dict[str, Any]:
    """Calibrate a bundle, with what it took; the peak is the whole process's resident memory."""
    return run_apart(CALIBRATE, bundle, "--samples", samples, "--steps", steps)


if __name__ == "__main__":
    main()
