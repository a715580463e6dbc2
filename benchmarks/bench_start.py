"""How long things take to start: `fdcn --help` against click alone, and a cold `fdcn run` to its first step."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from machine import samples, summary

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"
FIRST_STEP = "import fdcn; fdcn.load(%r)(labels=[0], solver='euler', steps=1)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="timed processes of each (default: 15)")
    repeats = parser.parse_args().repeats
    fdcn = shutil.which("fdcn", path=Path(sys.executable).parent) or "fdcn"
    with tempfile.TemporaryDirectory() as folder:
        bundle = f"{folder}/bundle"
        run(fdcn, "export", str(CHECKPOINT), "-o", bundle)
        portable = f"{folder}/portable"
        shutil.copytree(bundle, portable)
        run(fdcn, "build", bundle)
        work = {
            "python": [sys.executable, "-c", "pass"],
            "import click": [sys.executable, "-c", "import click"],
            "fdcn --help": [fdcn, "--help"],
            "first step, optimised graphs": [sys.executable, "-c", FIRST_STEP % bundle],
            "first step, portable graphs": [sys.executable, "-c", FIRST_STEP % portable],
            "fdcn run": [fdcn, "run", bundle, "--label", "0", "-o", f"{folder}/a.png"],
        }
        taken = {name: samples(lambda command=command: run(*command), repeats, 1) for name, command in work.items()}
    result = machine.describe(["onnxruntime", "click"]) | {"seconds": {n: summary(t) for n, t in taken.items()}}
    medians = {name: entry["median"] for name, entry in result["seconds"].items()}
    result["help_over_click"] = medians["fdcn --help"] / medians["import click"]
    for name, median in medians.items():
        print(f"{name:30} {median:.3f} s")
    print(f"wrote {machine.write('start', result)}")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
