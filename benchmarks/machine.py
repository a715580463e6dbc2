"""What every result says of itself: the machine, the versions, the day, and all samples."""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fdcn.bench.machine import processor

RESULTS = Path(__file__).parent / "results"


def describe(packages: Sequence[str]) -> dict[str, Any]:
    """The machine and the versions of Python, fdcn and the packages named."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version()}
        | {p: importlib.metadata.version(p) for p in ("fdcn", *packages)},
    }


def samples(work: Callable[[], object], repeats: int, warmup: int = 2) -> list[float]:
    """Seconds of each of `repeats` calls, after `warmup` that do not count."""
    for _ in range(warmup):
        work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def summary(taken: list[float]) -> dict[str, Any]:
    """Median and 90th percentile of samples in seconds, and the samples."""
    deciles = statistics.quantiles(taken, n=10) if len(taken) > 1 else taken * 9
    return {"median": statistics.median(taken), "p90": deciles[-1], "samples": taken}


def write(name: str, result: dict[str, Any]) -> Path:
    """Write a result as benchmarks/results/NAME.json and return the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def read(name: str) -> dict[str, Any]:
    """A committed result."""
    return json.loads((RESULTS / f"{name}.json").read_text())
