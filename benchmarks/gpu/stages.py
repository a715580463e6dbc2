"""Stages of checks that need a GPU: each check is a process of its own, and its result is kept as soon as it is there.

A stage is a file beside this one with three names. It is read on machines that have nothing, so that torch, TensorRT
and the like are imported inside its functions.

    NAME      its result is benchmarks/results/NAME.json
    SOURCES   globs from the root of the repository: where a file changes, all is checked again
    CHECKS    in order, {name: function(work) -> numbers for JSON}; a function raises where its check fails;
              `later` makes one that is elsewhere

`work` is a folder for what a check leaves to the next ones. It outlives the run, but not the machine, so that a check
makes what it does not find there.
"""

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STAGE_SECONDS = 480.0
"""Most that one stage takes of a run."""
LEAST_SECONDS = 20.0
"""With less left, no check is started."""
LOG_LINES = 12
CHILD = "import sys; sys.path[:0] = {paths}; import stages; stages.child(*sys.argv[1:])"


Check = Callable[[Path], dict[str, Any]]


def later(module: str, function: str, *arguments: Any) -> Check:
    """The check `function(work, *arguments)` of a module beside this one, which is imported when the check is run."""
    return functools.partial(_call, module, function, arguments)


def _call(module: str, function: str, arguments: tuple[Any, ...], work: Path) -> dict[str, Any]:
    return getattr(importlib.import_module(module), function)(work, *arguments)


class Failed(Exception):
    """A check that measured something and does not accept it: the numbers are kept beside the reason."""

    def __init__(self, why: str, numbers: dict[str, Any]) -> None:
        super().__init__(why)
        self.numbers = numbers


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage as its file describes it."""

    module: str
    name: str
    sources: tuple[str, ...]
    checks: tuple[str, ...]

    def key(self, root: Path, identity: str) -> str:
        """Hash of the sources and of what else the results depend on."""
        digest = hashlib.sha256(f"{identity}\n{self.checks}".encode())
        for path in sorted({path for glob in self.sources for path in root.glob(glob) if path.is_file()}):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
        return digest.hexdigest()[:16]


def read(module: str) -> Stage:
    """A stage's description, from the module of that name on the path."""
    found = importlib.import_module(module)
    return Stage(module, found.NAME, tuple(found.SOURCES), tuple(found.CHECKS))


class Run:
    """One run through stages: what is missing in their results, in order, as far as the seconds go."""

    def __init__(self, stages: list[Stage], machine: Mapping[str, Any], results: Path, work: Path, root: Path) -> None:
        self.stages, self.machine, self.results, self.work, self.root = stages, machine, results, work, root
        self._identity = json.dumps(machine, sort_keys=True)

    def plan(self) -> Iterator[tuple[Stage, str, bool]]:
        """Every check, and whether it has passed already with the same sources on such a machine."""
        for stage in self.stages:
            checks = self._result(stage)["checks"]
            for check in stage.checks:
                yield stage, check, checks.get(check, {}).get("passed", False)

    def go(self, seconds: float, say: Callable[[str], None] = print) -> dict[str, str]:
        """Run what the plan has open; gives what is still open at the end, as "stage: check" with the reason."""
        end = time.monotonic() + seconds
        left_open, stage_end, current = {}, 0.0, ""
        for stage, check, passed in self.plan():
            if stage.name != current:
                current, stage_end = stage.name, time.monotonic() + STAGE_SECONDS
            name = f"{stage.name}: {check}"
            left = min(end, stage_end) - time.monotonic()
            if passed:
                say(f"{name}: passed before")
            elif left < LEAST_SECONDS:
                left_open[name] = "not run: no time left" if end < stage_end else "not run: its stage has had its time"
            else:
                entry = self._check(stage, check, left)
                say(
                    f"{name}: {'passed' if entry['passed'] else 'FAILED: ' + entry['error']} ({entry['seconds']:.0f} s)"
                )
                if not entry["passed"]:
                    left_open[name] = entry["error"]
        return left_open

    def _check(self, stage: Stage, check: str, seconds: float) -> dict[str, Any]:
        """Run a check and write its entry into the stage's result."""
        entry = run_apart(stage.module, check, self.work / stage.name, seconds)
        result = self._result(stage)
        result["checks"][check] = entry
        result["date"] = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        self.results.mkdir(parents=True, exist_ok=True)
        path = self._path(stage)
        temporary = path.with_suffix(".incoming")
        temporary.write_text(json.dumps(result, indent=2) + "\n")
        os.replace(temporary, path)
        return entry

    def _path(self, stage: Stage) -> Path:
        return self.results / f"{stage.name}.json"

    def _result(self, stage: Stage) -> dict[str, Any]:
        """The stage's result so far; an empty one where the sources or the machine are others."""
        key = stage.key(self.root, self._identity)
        try:
            known = json.loads(self._path(stage).read_text())
        except (FileNotFoundError, ValueError):
            known = {}
        return known if known.get("key") == key else {"key": key, "machine": dict(self.machine), "checks": {}}


def run_apart(module: str, check: str, work: Path, seconds: float) -> dict[str, Any]:
    """Run one check in a new process, which ends with all its children at the limit; gives its entry."""
    work.mkdir(parents=True, exist_ok=True)
    answer, log = work / f".{check}.json", work / f"{check}.log"
    answer.unlink(missing_ok=True)
    source = Path(sys.modules[module].__file__ or "").parent
    code = CHILD.format(paths=[str(source), str(HERE), str(HERE.parent)])
    # Absolute, for what a check starts elsewhere.
    path = [str(Path(entry).resolve()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    start = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, module, check, str(work), str(answer)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end(process)
    entry: dict[str, Any] = {"passed": False, "seconds": round(time.monotonic() - start, 2)}
    if answer.exists():
        return entry | json.loads(answer.read_text())
    entry["error"] = f"ran past {seconds:.0f} s" if status is None else f"its process ended with status {status}"
    entry["log"] = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return entry


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def child(module: str, check: str, work: str, answer: str) -> None:
    """The process of one check: writes its entry, without the seconds, to the file `answer`."""
    stage: ModuleType = importlib.import_module(module)
    try:
        entry: dict[str, Any] = {"passed": True, "numbers": stage.CHECKS[check](Path(work))}
    except Failed as failure:
        entry = {"passed": False, "error": str(failure), "numbers": failure.numbers}
    except Exception as error:  # noqa: BLE001 -- whatever it is, the next check is to run
        traceback.print_exc()
        lines = traceback.format_exc().splitlines()[-LOG_LINES:]
        entry = {"passed": False, "error": " ".join(f"{type(error).__name__}: {error}".split())[:500], "log": lines}
    Path(answer).write_text(json.dumps(entry))
