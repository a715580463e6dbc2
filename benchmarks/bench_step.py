"""One guided step of S/2 at 256 px on this CPU: fdcn on ONNX Runtime against PyTorch and against the GEMM limit.

fdcn runs with its native operator (make ops), and again with the operator as the file's function.

Everything is measured in one run, with the same threads and the same random weights, in turns, so that what else the
machine does meets all alike. Before anything is timed, its result is checked against PyTorch's.
"""

import argparse
import collections
import functools
import json
import tempfile
import time
from pathlib import Path

import machine
import numpy as np
import onnxruntime as ort
import torch
from machine import samples, summary

from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime
from fdcn.export.exporter import export
from fdcn.export.models.flowdcn import network
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.plugins.torch_op import multi_scale_dcn_eager
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.backends.onnxrt import OnnxRuntime, engine_key, has_native_operator, session_options
from fdcn.runtime.pipeline import Pipeline

S2 = Architecture(blocks=12, hidden=384, groups=6, ffn=1024, channels=4, out_channels=8, classes=1000)
MACS_256 = 4.84e9
"""Multiply-adds of one image of S/2 at 256 px in linear layers and bilinear sums; a guided step has two."""
GEMM_SIDES = (1024, 2048, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="timed calls of each (default: 15)")
    repeats = parser.parse_args().repeats
    if not has_native_operator():
        parser.error("the native operator has not been built: make ops")
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    # The baseline is plain PyTorch: the operator in torch operations, not this project's compiled loops.
    network.multi_scale_dcn = multi_scale_dcn_eager
    model = random_network()
    with tempfile.TemporaryDirectory() as folder:
        bundle = export_network(model, Path(folder))
        backends = {"fdcn": build(bundle, native=True), "fdcn_function": build(bundle, native=False)}
        pipe = Pipeline(bundle, backends["fdcn"])
        result = machine.describe(["onnxruntime", "torch", "numpy"]) | {
            "threads": torch.get_num_threads(),
            "model": "S/2, random weights, guided pair",
        }
        result |= compare(backends, model, repeats) | per_token(pipe, repeats) | sampler_share(pipe) | profile(bundle)
    path = machine.write("step", result)
    for backend, ratios in result["ratios"].items():
        for name, value in ratios.items():
            print(f"{backend:15} {name:45} {value:.2f}")
    print(f"wrote {path}")


def random_network(arch: Architecture = S2) -> network.FlowDCN:
    """A network whose taps and gates are as large as a trained one's, so that gathers go everywhere."""
    model = network.FlowDCN(arch).eval()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not parameter.any():
            parameter.normal_(std=0.02)
        if "qk_deformables.bias" in name:
            parameter.normal_(std=0.5)
    return model


def export_network(model: network.FlowDCN, folder: Path) -> Bundle:
    torch.save(model.state_dict(), folder / "s2.pth")
    return export(folder / "s2.pth", folder / "bundle")


def build(bundle: Bundle, native: bool) -> OnnxRuntime:
    return OnnxRuntime(build_onnxruntime(Bundle.open(bundle.path), native), native)


def guided_pair(backend: Backend, side: int) -> dict[str, np.ndarray]:
    """Inputs of one guided step of one image at a latent side."""
    rng = np.random.default_rng(0)
    modulation, final = backend.condition(np.array([0.5], np.float32), np.array([S2.classes, 7]))
    return {
        "latent": rng.standard_normal((1, 4, side, side)).astype(np.float32).repeat(2, 0),
        "modulation": modulation,
        "final": final,
        "s_max": np.full((2, S2.blocks, 2), 6, np.float32),
    }


def compare(backends: dict[str, OnnxRuntime], model: network.FlowDCN, repeats: int) -> dict[str, object]:
    """fdcn, PyTorch eager, torch.compile and the best sgemm, in turns."""
    feeds = guided_pair(backends["fdcn"], 32)
    x, t, y = torch.from_numpy(feeds["latent"]), torch.full((2,), 0.5), torch.tensor([S2.classes, 7])
    compiled = torch.compile(model)
    contenders = {
        **{name: functools.partial(backend.denoise, "denoiser", **feeds) for name, backend in backends.items()},
        "torch_eager": lambda: model(x, t, y).numpy(),
        "torch_compile": lambda: compiled(x, t, y).numpy(),
    }
    want = contenders["torch_eager"]()
    for name, run in contenders.items():
        worst = np.abs(run() - want).max()
        assert worst < 1e-3 * np.abs(want).max(), f"{name} differs from PyTorch by {worst}"
    taken: dict[str, list[float]] = collections.defaultdict(list)
    for _ in range(repeats):
        for name, run in contenders.items():
            taken[name] += samples(run, 1, warmup=1)
    gemm = {side: gemm_rate(side) for side in GEMM_SIDES}
    limit = 2 * MACS_256 / max(gemm.values())
    medians = {name: summary(t)["median"] for name, t in taken.items()}
    return {
        "seconds": {name: summary(t) for name, t in taken.items()},
        "gemm_macs_per_second": gemm,
        "gemm_limit_seconds": limit,
        "ratios": {
            name: {
                "over PyTorch eager": medians["torch_eager"] / medians[name],
                "over torch.compile": medians["torch_compile"] / medians[name],
                "of the step's MACs at the best sgemm": limit / medians[name],
            }
            for name in backends
        },
    }


def gemm_rate(side: int) -> float:
    """Multiply-adds a second of a square sgemm at its best."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    return side**3 / min(samples(lambda: a @ b, 5))


def per_token(pipe: Pipeline, repeats: int) -> dict[str, object]:
    """Seconds a token of a guided step at three sizes."""
    taken = {}
    for side, count in ((32, repeats), (64, max(3, repeats // 3)), (128, 3)):
        feeds = guided_pair(pipe.backend, side)
        median = summary(samples(lambda feeds=feeds: pipe.backend.denoise("denoiser", **feeds), count, 1))["median"]
        taken[f"{8 * side} px"] = median / (2 * (side // 2) ** 2)
    return {"seconds_per_token": taken, "token_ratio_1024_to_256": taken["1024 px"] / taken["256 px"]}


def sampler_share(pipe: Pipeline) -> dict[str, object]:
    """The part of a guided run that is neither conditioner nor denoiser: plan, noise, guidance, update."""
    backend, inside = pipe.backend, 0.0

    def timed(method):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal inside
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                inside += time.perf_counter() - start

        return call

    backend.denoise, backend.condition = timed(backend.denoise), timed(backend.condition)  # type: ignore[method-assign]
    shares = {}
    for solver in ("neural", "heun-sde"):
        pipe(labels=[7], solver=solver, steps=10)
        inside, start = 0.0, time.perf_counter()
        pipe(labels=[7], solver=solver, steps=10)
        shares[solver] = 1 - inside / (time.perf_counter() - start)
    del backend.denoise, backend.condition
    return {"sampler_share": shares}


def profile(bundle: Bundle) -> dict[str, object]:
    """Share of a step's time by kind of ONNX operator, with the native operator."""
    bundle = Bundle.open(bundle.path)
    backend = OnnxRuntime(bundle, native=True)
    built = next(engine for engine in bundle.manifest.engines if engine.key == engine_key(native=True))
    options = session_options(native=True)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        path = bundle.graph(built.graphs["denoiser"])
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(5):
            session.run(None, guided_pair(backend, 32))
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: collections.Counter[str] = collections.Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    total = sum(spent.values())
    return {"time_by_operator": {name: round(t / total, 4) for name, t in spent.most_common(12)}}


if __name__ == "__main__":
    main()
