"""The runner of the GPU stages, on stages that need no GPU; and that the real ones can be read where there is none."""

import importlib
import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fdcn import gpu
from fdcn.runtime.backends.onnxrt import OnnxRuntime

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu" / "run.py"
sys.path.append(str(SCRIPT.parent))
stages = importlib.import_module("stages")
MACHINE = {"gpu": {"name": "NVIDIA H200"}, "versions": {"tensorrt": "10.6.0"}}
STAGE = """
import json, os, subprocess, sys, time
import stages

NAME = "trivial"
SOURCES = ("sources/*.txt",)

def good(work):
    with (work / "ran").open("a") as file:
        file.write("x")
    return {"answer": 42}

def bad(work):
    raise ValueError("three is not four")

def measured(work):
    raise stages.Failed("too slow", {"seconds": 9})

def slow(work):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (work / "pid").write_text(str(child.pid))
    time.sleep(60)

def aborts(work):
    print("last words", flush=True)
    os.abort()

CHECKS = {name: globals()[name] for name in %r}
"""


@pytest.fixture
def trivial(tmp_path, monkeypatch):
    """trivial(checks, …) → a run of a stage with these checks; a `machine` may be given."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a.txt").write_text("a")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(stages, "LEAST_SECONDS", 1.0)

    def make(*checks, machine=MACHINE):
        (tmp_path / "trivial_stage.py").write_text(STAGE % (list(checks),))
        sys.modules.pop("trivial_stage", None)
        return stages.Run([stages.read("trivial_stage")], machine, tmp_path / "results", tmp_path / "work", tmp_path)

    yield make
    sys.modules.pop("trivial_stage", None)


def result(tmp_path):
    return json.loads((tmp_path / "results" / "trivial.json").read_text())


def ran(tmp_path):
    return len((tmp_path / "work" / "trivial" / "ran").read_text())


def quiet(line):
    pass


def test_a_failure_does_not_stop_the_next_check(trivial, tmp_path):
    left_open = trivial("bad", "measured", "aborts", "good").go(60, quiet)
    checks = result(tmp_path)["checks"]
    assert checks["good"]["passed"]
    assert checks["good"]["numbers"] == {"answer": 42}
    assert checks["bad"]["error"] == "ValueError: three is not four"
    assert checks["measured"] | {"seconds": 0} == {
        "passed": False,
        "seconds": 0,
        "error": "too slow",
        "numbers": {"seconds": 9},
    }
    assert "status -6" in checks["aborts"]["error"]
    assert "last words" in checks["aborts"]["log"]
    assert list(left_open) == ["trivial: bad", "trivial: measured", "trivial: aborts"]
    assert result(tmp_path)["machine"] == MACHINE


def test_what_has_passed_is_not_run_again_and_the_rest_is(trivial, tmp_path):
    trivial("good", "bad").go(60, quiet)
    lines = []
    assert list(trivial("good", "bad").go(60, lines.append)) == ["trivial: bad"]
    assert lines[0] == "trivial: good: passed before"
    assert ran(tmp_path) == 1


@pytest.mark.parametrize("change", ["source", "machine", "result"])
def test_another_source_or_machine_runs_everything_again(trivial, tmp_path, change):
    trivial("good").go(60, quiet)
    machine = MACHINE
    if change == "source":
        (tmp_path / "sources" / "a.txt").write_text("b")
    elif change == "machine":
        machine = {"gpu": {"name": "NVIDIA A10"}}
    else:
        (tmp_path / "results" / "trivial.json").write_text('{"key": ')
    run = trivial("good", machine=machine)
    assert [passed for _, _, passed in run.plan()] == [False]
    run.go(60, quiet)
    assert ran(tmp_path) == 2


def test_the_budget_ends_a_check_with_its_children_and_names_what_was_not_run(trivial, tmp_path):
    start = time.monotonic()
    left_open = trivial("slow", "good").go(3, quiet)
    assert time.monotonic() - start < 20
    assert left_open["trivial: slow"].startswith("ran past ")
    assert left_open["trivial: good"] == "not run: no time left"
    assert "good" not in result(tmp_path)["checks"]
    pid = int((tmp_path / "work" / "trivial" / "pid").read_text())
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + 10
    while status.exists() and "Z (zombie)" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not status.exists() or "Z (zombie)" in status.read_text()


def test_a_stage_has_its_own_limit(trivial, monkeypatch):
    monkeypatch.setattr(stages, "STAGE_SECONDS", 0.5)
    left_open = trivial("good").go(60, quiet)
    assert left_open == {"trivial: good": "not run: its stage has had its time"}


def run_script(*words):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )


@pytest.mark.skipif(
    gpu.first() is not None, reason="what make gpu says without a GPU was not tested: there is one here"
)
def test_without_a_gpu_it_says_so_in_a_line():
    done = run_script()
    assert done.returncode == 1
    assert done.stderr.startswith("error: these checks need an NVIDIA GPU")
    assert done.stderr.count("\n") == 1


def test_the_plan_lists_every_check_of_every_stage():
    done = run_script("--plan")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for stage in ("gpu-kernel", "gpu-engine", "gpu-bench", "gpu-baselines", "gpu-fp8"):
        assert any(line.startswith(f"{stage}: ") for line in lines), stage
    assert all(line.endswith((": to run", ": passed before")) for line in lines)


def test_the_sources_of_the_stages_exist():
    for module in importlib.import_module("run").STAGES:
        stage = stages.read(module)
        assert stage.checks
        for glob in stage.sources:
            assert any(ROOT.glob(glob)), f"{stage.name}: nothing matches {glob}"


@pytest.mark.parametrize("stage", ["engine", "bench_xl2", "baselines_xl2", "fp8_xl2"])
def test_the_checks_are_where_the_stage_says(stage):
    for check in importlib.import_module(stage).CHECKS.values():
        module, function, arguments = check.args
        inspect.signature(getattr(importlib.import_module(module), function)).bind("work", *arguments)


class Shifted:
    """A backend whose velocities are off by a part of themselves, or not finite."""

    def __init__(self, backend, by):
        self.backend, self.by, self.name = backend, by, "shifted"
        self.condition, self.decode = backend.condition, backend.decode

    def denoise(self, graph, *given):
        v = self.backend.denoise(graph, *given)
        return v + np.float32(self.by) * np.abs(v)


@pytest.mark.parametrize(
    ("by", "accepted"), [(0.0, ["float32", "float16"]), (0.01, ["float16"]), (1.0, []), (np.nan, [])]
)
def test_engines_are_compared_call_for_call(shipped_bundle, monkeypatch, by, accepted):
    beside = importlib.import_module("beside")
    monkeypatch.setattr(beside, "SIZES", ((8, 6),))
    monkeypatch.setattr(beside, "COUNTS", (2,))
    reference = OnnxRuntime(shipped_bundle)
    for precision in ("float32", "float16"):
        numbers, complaints = beside.compare(shipped_bundle, reference, Shifted(reference, by), precision)
        assert (not complaints) == (precision in accepted), complaints
        calls = numbers["8x6, 2 pictures"]
        assert len(calls["denoise"]["cosine"]) == beside.REQUEST["steps"]
        assert calls["decode"]["cosine"] == [1.0]
