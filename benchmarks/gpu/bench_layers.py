"""Where a step's time goes, layer by layer, and what edits of the graph and other profiles make of it."""

import collections
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import clock
import machine
import torch
import trt_step
import variants
import xl2

from fdcn.bundle import Extent, Profile
from fdcn.export.models.flowdcn.architecture import REACH

PRECISION = "float16"
REPEATS = 50
LISTED = 60
KINDS = (
    ("operator", r"multi_?scale_?dcn|plugin"),
    ("copies and reformats", r"reformat|copy|^move|memcpy"),
    ("products", r"matmul|matrix|gemm|_mm_|[_ ]fc|^fc|\bdot\b|xmma|cutlass|nvjet"),
    ("norms", r"mean|norm|sqrt|reduce"),
)
"""By the first pattern that is in a layer's name, which for a fused one lists what is in it; the rest is pointwise."""
BUCKET = "pointwise and the rest"


def layers(work: Path) -> dict[str, Any]:
    """Share of a step's time by kind of layer, for a guided pair and for a batch, and the longest layers."""
    told = {}
    for rows in (2, xl2.ROWS):
        step, call = xl2.bound(work, PRECISION, xl2.subject(work, 256, rows))
        taken = {name: statistics.median(samples) for name, samples in step.layer_seconds(call, 20).items()}
        longest = sorted(taken.items(), key=lambda item: -item[1])[:LISTED]
        told[f"{rows} rows"] = shares(taken) | {"longest": {name[:120]: seconds for name, seconds in longest}}
    return told


def shares(seconds: Mapping[str, float]) -> dict[str, Any]:
    """Layers and share of the time of each kind."""
    count, spent = collections.Counter[str](), collections.Counter[str]()
    for name, taken in seconds.items():
        count[kind(name)] += 1
        spent[kind(name)] += taken
    total = sum(spent.values())
    return {
        "seconds": total,
        "layers": dict(count),
        "shares": {name: taken / total for name, taken in spent.most_common()},
    }


def kind(layer: str) -> str:
    """What kind of layer has this name."""
    return next((name for name, pattern in KINDS if re.search(pattern, layer, re.IGNORECASE)), BUCKET)


def variant(work: Path, name: str) -> dict[str, Any]:
    """The graph with one edit beside the graph without, each with an engine of its own, in turns."""
    narrow = Profile(Extent(256, 256, 2), Extent(256, 256, 2), Extent(256, 256, xl2.ROWS))
    return compared(work, {"as it is": (None, narrow), name: (variants.FLOWDCN[name], narrow)})


def narrow(work: Path) -> dict[str, Any]:
    """One wide profile beside one for the very size."""
    wide = Profile(Extent(128, 128, 1), Extent(256, 256, 2), Extent(1024, 1024, xl2.ROWS))
    only = Profile(Extent(256, 256, 2), Extent(256, 256, 2), Extent(256, 256, xl2.ROWS))
    return compared(work, {"as it is": (None, only), "wide profile": (None, wide)})


def compared(work: Path, engines: Mapping[str, tuple[variants.Edit | None, Profile]]) -> dict[str, Any]:
    """Seconds of a guided pair and of a batch of each, its layers, and how much faster than the first it is."""
    place, told = xl2.place(work), {}
    steps, parsed = {}, {}
    for name, (edit, profile) in engines.items():
        made: dict[str, int] = {}

        def make(path: Path, edit=edit, profile=profile, made=made) -> None:  # type: ignore[no-untyped-def]
            made["layers"] = trt_step.build(place.bundle("FlowDCN", 256), PRECISION, [profile], path, edit)

        steps[name] = trt_step.Step(place.once(f"variant-{name.replace(' ', '-')}.engine", make))
        parsed[name] = made.get("layers")
    for rows in (2, xl2.ROWS):
        given = xl2.subject(work, 256, rows)
        calls = {name: step.bind(given.ahead) for name, step in steps.items()}
        cosines = {name: xl2.cosine(call(), given.wanted) for name, call in calls.items()}
        assert min(cosines.values()) >= xl2.SAME[PRECISION], cosines
        given.reach(REACH)
        taken = clock.interleaved(calls, "cuda", REPEATS)
        seconds = {name: machine.summary(samples) for name, samples in taken.items()}
        first, second = (entry["median"] for entry in seconds.values())
        told[f"{rows} rows"] = {"seconds": seconds, "cosine": cosines, "speedup": first / second}
        torch.cuda.empty_cache()
    return told | {"parsed_layers": parsed}
