"""Building in a process of its own: what is asked of it, and the parent's side of the conversation.

TensorRT may end the process that it runs in: its builder does without a driver, RTX's heap does not always survive a
build that is cancelled, and a system that is short of memory kills whoever has most. Here that is an error in a line,
a cancelled build is a process that is killed, and the memory goes back to the system with it.

The parent writes the job to standard input as JSON and reads a JSON object a line: {"progress": [done, total]},
{"built": {graph: layers}} and, for an FdcnError, {"error": message}.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fdcn.errors import FdcnError
from fdcn.export.profiles import Axes

_START = "from fdcn.export.tensorrt_worker import main; main()"
_LAST_LINES = 4
OUT_OF_MEMORY = ("bad_alloc", "out of memory", "OutOfMemory", "OUT_OF_MEMORY")
"""How TensorRT, CUDA and C++ say it."""
LESS = "free some memory, name smaller sizes with --profile, or set --workspace"
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class GraphJob:
    """One graph to build; paths are absolute."""

    name: str
    source: str
    """The portable ONNX file, or the engine to refit from it in `engine`."""
    destination: str
    profiles: list[Axes]
    recipe: str | None = None
    """The file of the recipe to quantise the graph by, which is the portable denoiser."""
    group: int = 0
    """Of the recipe's step groups."""
    engine: str | None = None
    """An engine to give the source's weights, instead of building one."""


@dataclasses.dataclass(frozen=True)
class Job:
    """Engines to build with one flavour of TensorRT and one set of options."""

    flavour: str
    precision: str
    plugin: str
    """"library", "python", "aot" or "none"."""
    library: str | None
    """Path of the plugin library, for "library"."""
    compute: list[str]
    """Architectures, as sm_86; none for the GPU of this machine."""
    workspace: int | None
    """Most scratch memory of a layer, in bytes; None for no limit."""
    refit: bool
    timing_cache: str | None
    folder: str
    """For temporary files."""
    graphs: list[GraphJob]


def run(job: Job, progress: Progress = lambda done, total: None) -> dict[str, int]:
    """Do a job in a new process; returns the number of parsed layers of each graph.

    Raises FdcnError where TensorRT refuses or cannot go on, and RuntimeError, with the process's traceback, for a
    defect. Whatever is raised in the meantime, KeyboardInterrupt above all, ends the process at once.
    """
    # Whatever lies in the working directory must not be taken for one of our modules; and allocations of gigabytes,
    # page by page, would take a seventh of the time.
    environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ, "PYTHONSAFEPATH": "1"}
    if named := os.environ.get("PYTHONPATH"):  # which the worker reads in another working directory
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).resolve()) for entry in named.split(os.pathsep))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=job.folder,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(json.dumps(dataclasses.asdict(job)).encode())
            built = _listen(process.stdout, progress)
            process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if process.returncode == 0 and built is not None:
            return built
        log.seek(0)
        raise _failure(process.returncode, log.read().decode(errors="replace"))


def _listen(pipe: IO[bytes], progress: Progress) -> dict[str, int] | None:
    """Pass progress on until the process has ended or is done."""
    for line in pipe:
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise FdcnError(message["error"])
        if "built" in message:
            return message["built"]
        progress(*message["progress"])
    return None


def _failure(status: int, log: str) -> Exception:
    lines = [line for line in log.splitlines() if line.strip()]
    last = " / ".join(lines[-_LAST_LINES:])[:400] or "it said nothing"
    if any(sign in log for sign in OUT_OF_MEMORY):
        return FdcnError(f"out of memory while building ({last}); {LESS}")
    if status < 0:
        name = signal.Signals(-status).name
        if name == "SIGKILL":
            return FdcnError(f"the system ended the build, as it does where memory runs out; {LESS}")
        return FdcnError(f"TensorRT ended its process ({name}): {last}; try --plugin none, or another version of it")
    return RuntimeError(f"the process that builds engines failed with status {status}:\n{log}")
