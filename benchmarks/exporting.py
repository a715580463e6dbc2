"""An export in a process of its own, with what it took: for the benchmark and for the tests of large shapes."""

import json
import subprocess
import sys
from pathlib import Path

from resident import PEAK

EXPORT = (
    PEAK
    + """
import json, sys, time
start = time.perf_counter()
from fdcn.export.exporter import export
export(sys.argv[1], sys.argv[2])
print(json.dumps({"seconds": time.perf_counter() - start, "peak_bytes": peak_bytes()}))
"""
)


def export_apart(checkpoint: Path, bundle: Path) -> dict[str, float]:
    """Export a checkpoint into a bundle; the peak is the whole process's resident memory, Python and torch included."""
    command = [sys.executable, "-c", EXPORT, str(checkpoint), str(bundle)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    size = checkpoint.stat().st_size
    return measured | {"checkpoint_bytes": size, "peak_over_weights": measured["peak_bytes"] / size}
