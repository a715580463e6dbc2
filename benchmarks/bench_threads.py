"""Two threads of one picture each against one thread of two pictures, on ONNX Runtime: S/2 at 256 px.

Once with the options that fdcn gives its sessions, and once with each other choice that could serve two callers better.
All are measured in one run, in turns, so that what else the machine does meets all alike; results are compared first.
"""

import argparse
import collections
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import machine
import numpy as np
import onnxruntime as ort
import torch
from bench_step import build, export_network, random_network
from machine import samples, summary

from fdcn.bundle import Bundle
from fdcn.runtime.backends import onnxrt
from fdcn.runtime.pipeline import Pipeline

REQUEST = {"solver": "euler", "steps": 2}
CHOICES: dict[str, Callable[[ort.SessionOptions], object]] = {
    "as fdcn": lambda options: None,
    "at once": lambda options: None,
    "at once, one thread each": lambda options: setattr(options, "intra_op_num_threads", 1),
}
"""How sessions run: fdcn's run in turns, each on every core."""
DIFFERENCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10, help="timed calls of each (default: 10)")
    repeats = parser.parse_args().repeats
    if not onnxrt.has_native_operator():
        parser.error("the native operator has not been built: make ops")
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        bundle = export_network(random_network(), Path(folder))
        build(bundle, native=True)
        pipes = {name: opened(bundle, name) for name in CHOICES}
        result = machine.describe(["onnxruntime", "numpy"]) | {
            "model": f"S/2, random weights, guided, {REQUEST['steps']} evaluations a picture",
            **compare(pipes, threads, repeats),
        }
    for name, ratios in result["ratios"].items():
        print(f"{name:20} " + ", ".join(f"{what} {value:.2f}" for what, value in ratios.items()))
    print(f"wrote {machine.write('threads', result)}")


def opened(bundle: Bundle, choice: str) -> Pipeline:
    """A pipeline whose sessions run as a choice has it, and are open."""
    with options_of(choice):
        backend = onnxrt.OnnxRuntime(Bundle.open(bundle.path), native=True)
        if choice != "as fdcn":
            backend._turn = nullcontext()  # type: ignore[assignment]
        pipe = Pipeline(bundle, backend)
        pipe([7], **REQUEST)
    return pipe


@contextmanager
def options_of(choice: str) -> Iterator[None]:
    original = onnxrt.session_options

    def changed(native: bool) -> ort.SessionOptions:
        options = original(native)
        CHOICES[choice](options)
        return options

    with mock.patch.object(onnxrt, "session_options", changed):
        yield


def compare(pipes: dict[str, Pipeline], threads: ThreadPoolExecutor, repeats: int) -> dict[str, object]:
    """Seconds of two pictures in two threads, in one batch and one after the other, for each choice."""
    taken: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    work = {(name, way): call for name, pipe in pipes.items() for way, call in ways(pipe, threads).items()}
    want = ways(pipes["as fdcn"], threads)["one after the other"]()
    for key, call in work.items():
        worst = np.abs(call() - want).max()
        assert worst < DIFFERENCE * np.abs(want).max(), f"{key} differs by {worst}"
    for _ in range(repeats):
        for key, call in work.items():
            taken[key] += samples(call, 1, warmup=0)
    medians = {key: summary(seconds)["median"] for key, seconds in taken.items()}
    batch = {name: medians[name, "one batch of two"] for name in pipes}
    return {
        "seconds": {name: {way: summary(taken[n, way]) for n, way in taken if n == name} for name in pipes},
        "ratios": {
            name: {
                "two threads over one batch of two": medians[name, "two threads"] / batch[name],
                "one batch of two over that as fdcn": batch[name] / batch["as fdcn"],
                "two threads over those as fdcn": medians[name, "two threads"] / medians["as fdcn", "two threads"],
                "one picture over that as fdcn": medians[name, "one after the other"]
                / medians["as fdcn", "one after the other"],
            }
            for name in pipes
        },
    }


def ways(pipe: Pipeline, threads: ThreadPoolExecutor) -> dict[str, Callable[[], np.ndarray]]:
    """Three ways to the same two pictures, as latents."""

    def one(seed: int) -> np.ndarray:
        return pipe([7], seed=seed, **REQUEST).latents

    return {
        "two threads": lambda: np.concatenate(list(threads.map(one, (1, 2)))),
        "one batch of two": lambda: pipe([7, 7], seeds=(1, 2), **REQUEST).latents,
        "one after the other": lambda: np.concatenate([one(1), one(2)]),
    }


if __name__ == "__main__":
    main()
