"""The memory that making pictures takes, seen from outside: a process that does this and nothing else.

Here, the reference and what was measured before would count too.
"""

import contextlib
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fdcn.bench import subjects
from fdcn.bench.cases import Case
from fdcn.bench.subjects import Subject
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError

_START = "from fdcn.bench.memory import main; main()"


@dataclasses.dataclass(frozen=True)
class Memory:
    """In bytes; None where the system does not say."""

    resident: int | None
    """The most that was resident, Python and libraries included."""
    device: int | None
    """What is gone of the GPU's free memory at the end, CUDA's own part included: other processes must be still."""


def measure(subject: Subject, case: Case) -> Memory:
    """Make the pictures of a case once, in a new process. Raises FdcnError where that cannot be done."""
    job = {
        "bundle": str(subject.bundle.path.resolve()),
        "engine": subject.name,
        "allow_bundled_code": subject.allow_bundled_code,
        "arguments": case.arguments(),
    }
    done = subprocess.run([sys.executable, "-c", _START], input=json.dumps(job), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"measuring memory failed with status {done.returncode}:\n{done.stderr}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise FdcnError(answer["error"])
    return Memory(**answer)


def main() -> None:
    """The process that is measured: a job on standard input, the answer on standard output."""
    job = json.load(sys.stdin)
    try:
        answer = dataclasses.asdict(_run(job))
    except FdcnError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


def _run(job: dict[str, Any]) -> Memory:
    from fdcn.runtime.pipeline import Pipeline

    bundle = Bundle.open(job["bundle"])
    (subject,) = subjects.find(bundle, "auto", [job["engine"]], job["allow_bundled_code"])
    arguments = job["arguments"]
    arguments["size"] = tuple(arguments["size"])
    before = _device_free() if subject.backend == subjects.TENSORRT else None
    backend = subject.open()
    with contextlib.closing(backend), contextlib.closing(Pipeline(subject.bundle, backend)) as pipe:
        pipe(**arguments)
        gone = None if before is None else before - _device_free()
        return Memory(peak_resident(), gone)


def peak_resident() -> int | None:
    """The most bytes that this process has had resident."""
    try:  # not getrusage's: a process inherits its parent's there
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS, which alone comes here


def _device_free() -> int:
    from fdcn.bench.device_limits import free_memory

    return free_memory()
