"""Time and peak memory of building XL/2 in float16 by TensorRT-RTX, with the plugin library, random weights."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from bench_export import ARCHITECTURES, MAKE
from building import build_apart
from exporting import export_apart

from fdcn.errors import FdcnError
from fdcn.plugins import flavours, libraries

COMPUTE = ("sm_80", "sm_86", "sm_89")
"""One build for each: engines differ little, and none is there already."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="an exported XL/2 to build in (default: export one)")
    bundle = parser.parse_args().bundle
    try:
        rtx = flavours.load("tensorrt-rtx")
        libraries.build("tensorrt")
    except FdcnError as error:
        sys.exit(f"not measured: {error}")
    with tempfile.TemporaryDirectory() as folder:
        if bundle is None:
            checkpoint, bundle = Path(folder) / "model.pth", Path(folder) / "bundle"
            subprocess.run([sys.executable, "-c", MAKE, json.dumps(ARCHITECTURES["XL/2"]), checkpoint], check=True)
            export_apart(checkpoint, bundle)
        runs = [build_apart(bundle, "float16", compute, "library") for compute in COMPUTE]
    result = {
        "tensorrt": str(rtx),
        "plugin": "library",
        "seconds": machine.summary([run["seconds"] for run in runs]),
        "cpu_seconds": machine.summary([run["cpu_seconds"] for run in runs]),
        "peak_bytes": max(run["peak_bytes"] for run in runs),
        "engine_bytes": runs[0]["engine_bytes"],
    }
    print(f"XL/2 float16: {result['seconds']['median']:.1f} s, peak {result['peak_bytes'] / 1e9:.2f} GB")
    print(f"wrote {machine.write('build', machine.describe(['onnx', 'onnx-ir']) | result)}")


if __name__ == "__main__":
    main()
