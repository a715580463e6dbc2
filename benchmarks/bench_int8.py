"""A guided step of S/2 on this CPU in INT8 beside float32, both on ONNX Runtime with the native operator.

The weights are random: what `--keep auto` would keep of them says nothing, so that the products to keep are named.
Everything is measured in one run and in turns. Before anything is timed, INT8 is compared with float32. The limit is
the step's products alone, each at the best rate of its precision here.
"""

import argparse
import collections
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import int8_limits
import machine
import numpy as np
import onnxruntime as ort
import torch
from bench_step import export_network, random_network
from int8_limits import FLOAT32
from machine import samples, summary

from fdcn.bundle import Bundle
from fdcn.cli import cli
from fdcn.export.engine import build_onnxruntime
from fdcn.runtime.backends import onnxrt
from fdcn.verify import limits

CASES = {"256 px": (32, 2), "256 px, 4 pictures": (32, 8), "512 px": (64, 2)}
"""Side of the latent, and rows of the network."""
MAIN = "256 px"
IN_A_ROW = 3
"""Timed calls of a turn."""
CALIBRATE = ("--size", "256x256", "--steps", "5")
"""As little as may be: a scale makes no product faster."""
CALM = 0.5
"""s_max of the comparison: with a long reach, one rounding may send a tap over an edge at which the operator jumps."""
KEEP = {"int8": "none", "int8, SwiGLU alone": "*.projection,*.out"}
"""What `fdcn calibrate --keep` is told: the first and the last product alone stay float32, or the operator's, too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=6, help="turns of three timed calls of each (default: 6)")
    parser.add_argument("--samples", type=int, default=2, help="trajectories to calibrate on (default: 2)")
    options = parser.parse_args()
    if not onnxrt.has_native_operator():
        parser.error("the native operator has not been built: make ops")
    with tempfile.TemporaryDirectory() as folder:
        bundles = calibrated(Path(folder), options.samples)
        about = machine.describe(["onnxruntime", "numpy"]) | {"model": "S/2, random weights, guided pair"}
        result = about | measure(bundles, options.turns)
    for case, entry in result["cases"].items():
        for name, ratio in entry["over_float32"].items():
            print(f"{case:20} {name:36} {ratio:.2f} times as fast as float32")
    for name, limit in result["limits"].items():
        print(f"{name:57} {limit['of_limit']:.0%} of the limit")
    print(f"wrote {machine.write('int8', result)}")


def calibrated(folder: Path, count: int) -> dict[str, Bundle]:
    """A bundle of S/2 for each contender: with a calibration, and with the engine that it is run by."""
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    source = export_network(random_network(), folder).path
    places = {name: Path(shutil.copytree(source, folder / name)) for name in (FLOAT32, *KEEP)}
    for name, keep in KEEP.items():
        _fdcn("calibrate", str(places[name]), "--samples", str(count), *CALIBRATE, "--keep", keep)
    for name, place in places.items():
        if name == FLOAT32:
            build_onnxruntime(Bundle.open(place), native=True)
        else:
            _fdcn("build", str(place), "--int8")
    return {name: Bundle.open(place) for name, place in places.items()}


def _fdcn(*words: str) -> None:
    cli(words, standalone_mode=False)


def measure(bundles: dict[str, Bundle], turns: int) -> dict[str, Any]:
    """Compare and time them, on every core and on one alone, and hold them against their limits."""
    first = bundles[FLOAT32]
    backends = {name: onnxrt.OnnxRuntime(bundle, native=True) for name, bundle in bundles.items()}
    feeds = {case: inputs(backends[FLOAT32], first, *shape) for case, shape in CASES.items()}
    cases = {case: compare(backends, given, turns) for case, given in feeds.items()}
    with one_thread():
        alone = {name: onnxrt.OnnxRuntime(bundle, native=True) for name, bundle in bundles.items()}
        cases[f"{MAIN}, one thread"] = compare(alone, feeds[MAIN], turns)
    rows, _, height, width = feeds[MAIN]["latent"].shape
    tokens, rates = rows * height * width // first.manifest.model.patch**2, int8_limits.rates()
    told: dict[str, Any] = {"cases": cases, "macs_per_second": rates, "limits": {}}
    for name, bundle in bundles.items():
        least = int8_limits.limit(bundle, precision(name), tokens, rates)
        reached = least["seconds"] / cases[MAIN]["seconds"][name]["median"]
        operators = int8_limits.profile(bundle, precision(name), feeds[MAIN])
        told["limits"][name] = least | {"of_limit": reached, "operators": operators}
    return told


def precision(contender: str) -> str:
    """What a contender computes in."""
    return contender.partition(",")[0]


@contextmanager
def one_thread() -> Iterator[None]:
    """Sessions that are opened meanwhile have one thread."""
    original = onnxrt.session_options

    def changed(*arguments: Any) -> ort.SessionOptions:
        options = original(*arguments)
        options.intra_op_num_threads = 1
        return options

    with mock.patch.object(onnxrt, "session_options", changed):
        yield


def inputs(backend: onnxrt.OnnxRuntime, bundle: Bundle, side: int, rows: int) -> dict[str, np.ndarray]:
    """Inputs of a guided step at a side of the latent."""
    about = bundle.manifest.model
    labels = np.resize([about.classes, 7 % about.classes], rows)
    modulation, final = backend.condition(np.array([0.5], np.float32), labels)
    noise = np.random.default_rng(0).standard_normal((rows // 2, about.channels, side, side), np.float32)
    s_max = np.full((rows, about.blocks, 2), bundle.manifest.sampling.reach, np.float32)
    return {"latent": noise.repeat(2, 0), "modulation": modulation, "final": final, "s_max": s_max}


def compare(backends: dict[str, onnxrt.OnnxRuntime], feeds: dict[str, np.ndarray], turns: int) -> dict[str, Any]:
    """Seconds of each, in turns, after a comparison with float32."""
    calm = feeds | {"s_max": np.full_like(feeds["s_max"], CALM)}
    want = backends[FLOAT32].denoise("denoiser", **calm).ravel().astype(np.float64)
    cosines = {}
    for name, backend in backends.items():
        got = backend.denoise("denoiser", **calm).ravel().astype(np.float64)
        cosines[name] = float(got @ want / np.linalg.norm(got) / np.linalg.norm(want))
        least = limits.NETWORK[precision(name)].cosine
        assert cosines[name] >= least, f"{name} computes something else: cosine {cosines[name]}"
    taken: dict[str, list[float]] = collections.defaultdict(list)
    for _ in range(turns):
        for name, backend in backends.items():
            # The threads of the session before still spin: the first call of a turn does not count.
            taken[name] += samples(lambda backend=backend: backend.denoise("denoiser", **feeds), IN_A_ROW, warmup=1)
    seconds = {name: summary(each) for name, each in taken.items()}
    first = seconds[FLOAT32]["median"]
    ratios = {name: first / entry["median"] for name, entry in seconds.items() if name != FLOAT32}
    return {"seconds": seconds, "cosine": cosines, "over_float32": ratios}


if __name__ == "__main__":
    main()
