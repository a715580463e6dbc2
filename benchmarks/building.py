"""A build of a TensorRT engine in a process of its own, with what it took: for the benchmark and the large tests."""

from pathlib import Path
from typing import Any

from apart import run_apart

BUILD = """
import json, resource, sys, time
start = time.perf_counter()
from fdcn.bench.memory import peak_resident
from fdcn.bundle import Bundle
from fdcn.export.tensorrt_engine import build
from fdcn.export.tensorrt_target import Options
path, precision, compute, plugin = sys.argv[1:]
built = build(Bundle.open(path), Options(precision, (compute,), plugin=plugin))
assert built.fresh
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "cpu_seconds": sum(u.ru_utime + u.ru_stime for u in usage),
    "peak_bytes": peak_resident() + usage[1].ru_maxrss * 1024,
    "engine_bytes": {name: built.bundle.manifest.files[g.file].bytes for name, g in built.engine.graphs.items()},
}))
"""


def build_apart(bundle: Path, precision: str, compute: str, plugin: str) -> dict[str, Any]:
    """Add an engine that is not there yet to a bundle, checks and hashes of all files included.

    The peak is what the process that builds and the one that waits for it have resident, at their most.
    """
    return run_apart(BUILD, bundle, precision, compute, plugin)
