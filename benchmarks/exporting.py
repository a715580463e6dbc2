"""An export in a process of its own, with what it took: for the benchmark and for the tests of large shapes."""

from pathlib import Path

from apart import run_apart

EXPORT = """
import json, sys, time
start = time.perf_counter()
from fdcn.bench.memory import peak_resident
from fdcn.export.exporter import export
export(sys.argv[1], sys.argv[2])
print(json.dumps({"seconds": time.perf_counter() - start, "peak_bytes": peak_resident()}))
"""


def export_apart(checkpoint: Path, bundle: Path) -> dict[str, float]:
    """Export a checkpoint into a bundle; the peak is the whole process's resident memory, Python and torch included."""
    measured = run_apart(EXPORT, checkpoint, bundle)
    size = checkpoint.stat().st_size
    return measured | {"checkpoint_bytes": size, "peak_over_weights": measured["peak_bytes"] / size}
