"""Time and peak memory of exporting S/2 and XL/2 with random weights, each in a process of its own."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from exporting import export_apart

# Blocks, hidden, groups, FFN, channels, output channels, classes.
ARCHITECTURES = {"S/2": (12, 384, 6, 1024, 4, 8, 1000), "XL/2": (28, 1152, 16, 3072, 4, 8, 1000)}
MAKE = """
import json, sys, torch
from fdcn.export.models.flowdcn.architecture import Architecture
shapes = Architecture(*json.loads(sys.argv[1])).shapes()
torch.save({name: torch.randn(shape) * 0.02 for name, shape in shapes.items()}, sys.argv[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=ARCHITECTURES, help="one of the models (default: all)")
    only = parser.parse_args().only
    models = {name: measure(arch) for name, arch in ARCHITECTURES.items() if only in (None, name)}
    for name, entry in models.items():
        peak = f"{entry['peak_bytes'] / 1e9:.2f} GB, {entry['peak_over_weights']:.2f} times the weights"
        print(f"{name:5} {entry['seconds']:.1f} s, peak {peak}")
    print(f"wrote {machine.write('export', machine.describe(['torch', 'onnx', 'onnxscript']) | {'models': models})}")


def measure(arch: tuple[int, ...]) -> dict[str, float]:
    """Export one model from a .pth."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "model.pth"
        subprocess.run([sys.executable, "-c", MAKE, json.dumps(arch), checkpoint], check=True)
        return export_apart(checkpoint, Path(folder) / "bundle")


if __name__ == "__main__":
    main()
