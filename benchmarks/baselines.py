"""One guided step of FlowDCN and of SiT, by fdcn and by everything else that could run it, in one run and in turns.

    python benchmarks/baselines.py                         # XL/2 in float16 on a GPU; S/2 in float32 on a CPU
    python benchmarks/baselines.py --released FLOWDCN      # and the Triton operator of FlowDCN's authors, from a clone

All have the same random weights, shapes and precision: products in half, the residual stream and norms in float32.
Each is checked against the network in float32 before anything is timed. "whole" is the network as it is released;
"ahead" has the conditioning computed before the loop, as fdcn has. On a GPU each is replayed from a CUDA graph, and
engines and packages are made for this very size.
"""

import argparse
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import clock
import machine
import rivals
import sit
import torch
from bench_step import S2, random_network
from torch import Tensor, nn

from fdcn.bundle import Bundle
from fdcn.export.exporter import export
from fdcn.export.models.flowdcn import graphs, network
from fdcn.export.models.flowdcn.architecture import REACH, Architecture
from fdcn.plugins import spec

MODELS = {
    "XL/2": (Architecture(28, 1152, 16, 3072, 4, 8, 1000), sit.XL2),
    "S/2": (S2, sit.Architecture(blocks=12, hidden=384, heads=6)),
}
"""FlowDCN's architecture and SiT's."""
CALM = 0.5
"""s_max of the checks: with a long reach, one rounding may send a tap over an edge at which the operator jumps."""
SAME = {"float32": 0.99999, "float16": 0.999, "bfloat16": 0.99}
"""Least cosine to the network in float32. It tells a mistake; how exact an engine is, `fdcn verify` says."""
FACTOR = 8
"""Pixels a latent element stands for."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network and inputs of a step of it, on a device. The tensors stay where they are: calls read what they hold."""

    name: str
    macs: float
    """Multiply-adds of the step, without conditioning."""
    network: nn.Module
    given: tuple[Tensor, ...]
    """What `network` takes."""
    denoiser: nn.Module
    ahead: dict[str, Tensor]
    """What `denoiser` takes, by the names that its exported graph has."""
    wanted: Tensor
    """The velocity in float32, s_max being calm."""

    def reach(self, s_max: float) -> None:
        """Let the operator's taps reach so far from now on."""
        if "s_max" in self.ahead:
            self.ahead["s_max"].fill_(s_max)


class Place:
    """A folder with the weights of both networks, and with what is made from them once: bundles, engines, packages."""

    def __init__(self, folder: Path, architectures: tuple[Architecture, sit.Architecture]) -> None:
        self.folder, (self.flowdcn, self.sit) = folder, architectures
        folder.mkdir(parents=True, exist_ok=True)

    def checkpoint(self, name: str) -> Path:
        """The file with the state_dict of "FlowDCN" or "SiT"."""

        def make(path: Path) -> None:
            torch.manual_seed(0)
            random = random_network(self.flowdcn).state_dict() if name == "FlowDCN" else sit.random_tensors(self.sit)
            torch.save(dict(random), path)

        return self.once(f"{name}.pth", make)

    def bundle(self, name: str, px: int) -> Bundle:
        """FlowDCN's for every size; SiT's for one, which is the best case for an engine."""
        checkpoint = self.checkpoint(name)
        if name == "FlowDCN":
            return Bundle.open(self.once("FlowDCN", lambda path: export(checkpoint, path)))
        made = self.once(f"SiT-{px}", lambda path: sit.export_bundle(checkpoint, self.sit, (px, px), path))
        return Bundle.open(made)

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """What `make` has left at the path that it was given, made where it is not there yet."""
        path = self.folder / name
        if not path.exists():
            incoming = self.folder / f"incoming-{name}"
            make(incoming)
            os.replace(incoming, path)
        return path

    def subject(self, name: str, px: int, precision: str, device: str, rows: int = 2) -> Subject:
        """A network at a size in pixels, as torch runs it."""
        side, checkpoint = px // FACTOR, self.checkpoint(name)
        with torch.device(device):
            torch.manual_seed(1)
            tensors = torch.load(checkpoint, mmap=True, map_location=device)
            t, labels = torch.full((rows,), 0.5), torch.tensor([self.flowdcn.classes, 7]).repeat(rows // 2)
            ahead = {"latent": torch.randn(rows // 2, self.flowdcn.channels, side, side).repeat_interleave(2, 0)}
            if name == "FlowDCN":
                model, denoiser, conditioner = self._flowdcn(tensors)
                macs = flowdcn_macs(self.flowdcn, side, side)
            else:
                model, denoiser = sit.SiT(tensors, self.sit, side, side), sit.Denoiser(tensors, self.sit, side, side)
                conditioner, macs = model.conditioner, sit.macs(self.sit, side, side)
            ahead["modulation"], ahead["final"] = conditioner(t[:1], labels)
            if name == "FlowDCN":
                ahead["s_max"] = torch.full((rows, self.flowdcn.blocks, 2), CALM)
        given = ahead["latent"], t, labels, *(ahead[key] for key in ("s_max",) if key in ahead)
        wanted = model(*given)
        if precision != "float32":
            for module in (model, denoiser):
                rivals.lower(module, getattr(torch, precision))
        return Subject(name, rows * macs, model, given, denoiser, ahead, wanted)

    def _flowdcn(self, tensors: dict[str, Tensor]) -> tuple[nn.Module, nn.Module, nn.Module]:
        """The network as trained, its denoiser, its conditioner."""
        model = network.FlowDCN(self.flowdcn).eval()
        model.load_state_dict(tensors)
        return model, graphs.Denoiser(tensors, self.flowdcn), graphs.Conditioner(tensors, self.flowdcn)


def flowdcn_macs(arch: Architecture, height: int, width: int) -> float:
    """Multiply-adds of an evaluation of one image in products and bilinear sums, at a latent size."""
    h, p = arch.hidden, arch.patch
    projection = spec.projection_width(arch.groups, h // arch.groups, arch.taps)
    block = h * projection + h * h + 3 * h * arch.ffn + 4 * arch.taps * h
    return height // p * (width // p) * (arch.blocks * block + 2 * p * p * arch.channels * h)


def measure(
    place: Place, px: int, precision: str, device: str, repeats: int, released: Path | None = None
) -> dict[str, Any]:
    """Check and then time every contender at one size.

    Raises AssertionError where one computes something else. One that does not run at all is told as such, with why.
    """
    torch.set_grad_enabled(False)
    torch._dynamo.reset()
    subjects = [place.subject(name, px, precision, device) for name in ("FlowDCN", "SiT")]
    watches: dict[str, clock.Watch] = {}
    cosines, skipped = {}, {}
    for subject in subjects:
        for name, make in rivals.of(subject, place, px, precision, device, released).items():
            key = f"{subject.name}: {name}"
            try:
                call = make()
                got = call().clone()  # what a replay may write over
                watch = clock.stopwatch(call, device)
            except Exception as error:  # noqa: BLE001 -- a baseline that does not run is told, the others are timed
                skipped[key] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                continue
            cosines[key] = cosine(got, subject.wanted)
            watches[key] = watch
            assert cosines[key] >= SAME[precision], f"{key} computes something else: cosine {cosines[key]}"
        subject.reach(REACH)
    if own := skipped.get(f"FlowDCN: {rivals.OWN}"):
        raise RuntimeError(f"fdcn itself does not run: {own}")
    taken = clock.in_turns(watches, repeats)
    seconds = {name: machine.summary(samples) for name, samples in taken.items()}
    medians = {name: entry["median"] for name, entry in seconds.items()}
    macs = {subject.name: subject.macs for subject in subjects}
    told = {"px": px, "precision": precision, "seconds": seconds, "cosine": cosines, "skipped": skipped, "macs": macs}
    return told | {"ratios": ratios(medians, macs)}


def cosine(got: Tensor, wanted: Tensor) -> float:
    """Of two velocities; NaN where one is not finite."""
    assert got.shape == wanted.shape, f"{tuple(got.shape)}, not {tuple(wanted.shape)}"
    return float(torch.nn.functional.cosine_similarity(got.double().flatten(), wanted.double().flatten(), dim=0))


def ratios(medians: Mapping[str, float], macs: Mapping[str, float]) -> dict[str, float]:
    """What FlowDCN by fdcn is worth: over each other way to run it, and over SiT at its best, which may be fdcn's."""
    own = medians[f"FlowDCN: {rivals.OWN}"]
    others = {name.removeprefix("FlowDCN: "): t for name, t in medians.items() if name.startswith("FlowDCN: ")}
    result = {f"over {name}": t / own for name, t in others.items() if name != rivals.OWN}
    wanted = macs["SiT"] / macs["FlowDCN"]
    result["MACs of SiT over FlowDCN's"] = wanted
    for title, part in (("SiT at its best", ""), ("SiT by torch.compile", "torch.compile")):
        if found := [t for name, t in medians.items() if name.startswith("SiT") and part in name]:
            result[title] = min(found) / own
            result[f"{title}, of the MAC ratio"] = min(found) / own / wanted
    return result


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, precision, repeats = ("XL/2", "float16", 50) if device == "cuda" else ("S/2", "float32", 15)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default=model, help=f"default: {model}")
    parser.add_argument("--px", type=int, nargs="+", default=[256], help="sides of the pictures (default: 256)")
    parser.add_argument("--precision", choices=SAME, default=precision, help=f"default: {precision}")
    parser.add_argument("--repeats", type=int, default=repeats, help=f"timed calls of each (default: {repeats})")
    parser.add_argument("--released", type=Path, help="a clone of MCG-NJU/FlowDCN")
    parser.add_argument("--work", type=Path, help="keep weights, bundles, engines and packages in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(options.work or Path(temporary), MODELS[options.model])
        sizes = [measure(place, px, options.precision, device, options.repeats, options.released) for px in options.px]
    for size in sizes:
        print(json.dumps({"px": size["px"]} | size["ratios"] | {"skipped": size["skipped"]}, indent=2))
    about = machine.describe(["torch", "onnxruntime", "numpy"])
    if device == "cuda":
        about["gpu"] = torch.cuda.get_device_name()
    path = machine.write("baselines", about | {"model": f"{options.model}, random weights", "sizes": sizes})
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
