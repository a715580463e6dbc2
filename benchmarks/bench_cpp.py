"""The C++ library beside the Python package: start, time a picture, resident memory over many requests, its size.

    make cpp && python benchmarks/bench_cpp.py

Both run the same engines of the same bundles, in a process each; their pictures are made in turns.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
import torch
from bench_step import build, export_network, random_network
from machine import summary

from fdcn.bundle import Bundle
from fdcn.export.exporter import export
from fdcn.runtime.backends.onnxrt import has_native_operator

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = ROOT / "build" / "cpp" / "install"
CHECKPOINT = ROOT / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"
REQUESTS = {
    "shipped": {"labels": [7], "solver": "neural", "steps": 10},
    "S/2": {"labels": [7], "solver": "euler", "steps": 2},
}
REST = 0.05
"""Seconds between pictures: the threads of the library that has just run spin a little longer."""
SIZES = [(28 + 4 * (i % 8), 28 + 4 * (i // 8 % 8)) for i in range(64)]
SETTLED = 200
"""Requests after which memory is looked at for the first time."""
TIMED = """
import json, os, sys, time
from pathlib import Path

def answer(start):
    seconds = time.perf_counter() - start
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    print(seconds, resident, flush=True)

start = time.perf_counter()
import fdcn
pipe = fdcn.load(sys.argv[1])
answer(start)
for line in sys.stdin:
    start = time.perf_counter()
    pipe(**json.loads(line))
    answer(start)
"""


class Process:
    """A runtime that makes the pictures of a bundle, one a request."""

    def __init__(self, command: Sequence[str | Path], bundle: Path) -> None:
        self._process = subprocess.Popen([*command, bundle], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_seconds, _ = self._answer()

    def picture(self, request: Mapping[str, Any]) -> tuple[float, int]:
        """The seconds that one took, and the bytes that are resident then."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> tuple[float, int]:
        assert self._process.stdout is not None
        seconds, resident = self._process.stdout.readline().split()
        return float(seconds), int(resident)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30, help="timed pictures, and processes, of each (default: 30)")
    parser.add_argument("--requests", type=int, default=1000, help="requests for the memory (default: 1000)")
    options = parser.parse_args()
    if not has_native_operator():
        parser.error("the native operator has not been built: make ops")
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtimes = {"C++": [compiled(folder)], "Python": [sys.executable, "-c", TIMED]}
        bundles = {"shipped": export(CHECKPOINT, folder / "shipped"), "S/2": s2(folder)}
        for bundle in bundles.values():
            build(bundle, native=True)
        result = machine.describe(["onnxruntime", "numpy"]) | {
            "library_bytes": {"without backends": bare_bytes(folder), "with ONNX Runtime": library(INSTALLED)},
            "start": start(runtimes, bundles["shipped"], options.repeats),
            "picture": {
                model: pictures(runtimes, bundle, REQUESTS[model], options.repeats) for model, bundle in bundles.items()
            },
            "resident": resident(runtimes, bundles["shipped"], options.requests),
        }
    for model, row in result["picture"].items():
        print(f"{model}: {row['C++']['median']:.4f} s in C++, {row['ratio']:.3f} of Python's")
    print(f"wrote {machine.write('cpp', result)}")


def compiled(folder: Path) -> Path:
    """The C++ program, linked with the library that `make cpp` has installed."""
    program = folder / "timed_pictures"
    command = ["g++", "-std=c++17", "-O2", Path(__file__).parent / "timed_pictures.cpp", "-o", program]
    command += [f"-I{INSTALLED / 'include'}", f"-L{INSTALLED / 'lib'}", f"-Wl,-rpath,{INSTALLED / 'lib'}", "-lfdcn"]
    subprocess.run(command, check=True)
    return program


def s2(folder: Path) -> Bundle:
    (folder / "s2").mkdir()
    return export_network(random_network(), folder / "s2")


def bare_bytes(folder: Path) -> int:
    """Size of the library without any backend."""
    configure = ["cmake", "-S", ROOT / "runtime" / "cpp", "-B", folder / "bare", "-DFDCN_ONNXRUNTIME=OFF"]
    configure += ["-DFDCN_TESTS=OFF", f"-DPython3_EXECUTABLE={sys.executable}", "-DCMAKE_INSTALL_LIBDIR=lib"]
    configure += [f"-DCMAKE_INSTALL_PREFIX={folder / 'installed'}"]
    build, install = (["cmake", f"--{step}", folder / "bare"] for step in ("build", "install"))
    for command in (configure, [*build, "--parallel", "2"], install):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return library(folder / "installed")


def library(installed: Path) -> int:
    return (installed / "lib" / "libfdcn.so").stat().st_size


@contextlib.contextmanager
def processes(runtimes: Mapping[str, Sequence[str | Path]], bundle: Bundle) -> Iterator[dict[str, Process]]:
    with contextlib.ExitStack() as closing:
        opened = {name: Process(command, bundle.path) for name, command in runtimes.items()}
        for process in opened.values():
            closing.callback(process.close)
        yield opened


def start(runtimes: Mapping[str, Sequence[str | Path]], bundle: Bundle, repeats: int) -> dict[str, Any]:
    """Seconds from load to the first picture, in a new process each; and with the process's own start."""
    inside: dict[str, list[float]] = {name: [] for name in runtimes}
    whole: dict[str, list[float]] = {name: [] for name in runtimes}
    for _ in range(repeats):
        for name, command in runtimes.items():
            begun = time.perf_counter()
            process = Process(command, bundle.path)
            first, _ = process.picture(REQUESTS["shipped"])
            whole[name].append(time.perf_counter() - begun)
            inside[name].append(process.load_seconds + first)
            process.close()
    return {
        name: {"load to picture": summary(inside[name]), "process to picture": summary(whole[name])}
        for name in runtimes
    }


def pictures(
    runtimes: Mapping[str, Sequence[str | Path]], bundle: Bundle, request: Mapping[str, Any], repeats: int
) -> dict[str, Any]:
    """Seconds a picture, in turns."""
    taken: dict[str, list[float]] = {name: [] for name in runtimes}
    with processes(runtimes, bundle) as opened:
        for round in range(repeats + 2):
            for name, process in opened.items():
                time.sleep(REST)
                seconds, _ = process.picture(request)
                if round >= 2:  # the first ones warm up
                    taken[name].append(seconds)
    summaries = {name: summary(seconds) for name, seconds in taken.items()}
    return summaries | {"ratio": summaries["C++"]["median"] / summaries["Python"]["median"]}


def resident(runtimes: Mapping[str, Sequence[str | Path]], bundle: Bundle, requests: int) -> dict[str, Any]:
    """Resident bytes after some and after many requests of mixed sizes, labels and solvers."""
    found = {}
    with processes(runtimes, bundle) as opened:
        for name, process in opened.items():
            after = []
            for i in range(requests):
                solver = ("euler", "heun-sde", "adams2")[i % 3]
                request = {"labels": [i % 10, i * 7 % 10], "size": SIZES[i % len(SIZES)], "seed": i}
                after.append(process.picture(request | {"solver": solver, "steps": 2})[1])
            found[name] = {"settled": after[min(SETTLED, requests) - 1], "end": after[-1], "most": max(after)}
    return {"requests": requests, "settled_after": SETTLED} | found


if __name__ == "__main__":
    main()
