"""What stage gpu-engine checks of fdcn's commands on a machine with a GPU."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from shipped import built, command, copied, exported, fdcn
from stages import Failed


def verify(work: Path, precision: str) -> dict[str, Any]:
    """`fdcn verify` accepts an engine; of each rung, the range of what it measured."""
    bundle, _ = built(work, "auto", precision)
    file = work / f"verify-{precision}.json"
    file.unlink(missing_ok=True)
    words = command("verify", bundle.path, "--candidate", "tensorrt", "--json", file)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert file.exists(), done.stderr
    report = json.loads(file.read_text())
    (compared,) = report["candidates"]
    told = {"reference": report["reference"], "candidate": compared["side"], "settings": report["settings"]}
    told |= {"rungs": {rung["name"]: ranges(rung) for rung in compared["rungs"]}}
    if done.returncode or not report["passed"]:
        raise Failed(done.stderr.strip(), told)
    return told


def ranges(rung: dict[str, Any]) -> dict[str, Any]:
    """How many rows a rung has and how many are too far off, and the least and largest of each value."""
    rows = rung["rows"]
    values = {name: [row["values"].get(name) for row in rows] for row in rows for name in row["values"]}
    finite = {name: [value for value in every if value is not None] for name, every in values.items()}
    return {
        "rows": len(rows),
        "failed": sum(not row["passed"] for row in rows),
        "skipped": rung["skipped"],
        **{name: [min(every), max(every)] for name, every in finite.items() if every},
    }


def again(work: Path) -> dict[str, Any]:
    """The same build twice does nothing the second time; two at once make one engine."""
    bundle, _ = built(work, "auto", "float16")
    start = time.perf_counter()
    said = fdcn("build", bundle.path, "--fp16")
    assert "nothing to do" in said, said
    seconds = time.perf_counter() - start
    copy = copied(exported(work), work / "at-once")
    both = [
        subprocess.Popen(command("build", copy.path, "--fp16"), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted("nothing to do" in output for output in outputs) == [False, True], outputs
    return {"seconds_of_nothing": seconds}


def build_if_missing(work: Path) -> dict[str, Any]:
    """`fdcn run` refuses a bundle without an engine, and with --build-if-missing builds it once."""
    bundle = exported(work)
    picture = work / "picture.png"
    refused = subprocess.run(command("run", bundle.path, "-o", picture), capture_output=True, text=True, check=False)
    assert refused.returncode == 1, refused.stdout
    assert "fdcn build" in refused.stderr, refused.stderr
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        said = fdcn("run", bundle.path, "--build-if-missing", "-o", picture)
        taken.append(time.perf_counter() - start)
        assert "TensorRT" in said, said
    return {"refusal": refused.stderr.strip().replace(str(bundle.path), "BUNDLE"), "seconds": taken}
