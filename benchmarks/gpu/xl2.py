"""XL/2 with random weights for the stages that time it: exported once, and one engine a precision."""

import functools
import hashlib
import time
from pathlib import Path

from baselines import MODELS, Place, Subject, cosine
from stages import ROOT

from fdcn.bundle import Bundle
from fdcn.export.profiles import parse_profile
from fdcn.export.tensorrt_engine import build
from fdcn.export.tensorrt_target import Options

ROWS = 32
"""Rows of the network in the large batch."""
PROFILES = (f"256x256x1:256x256x2:256x256x{ROWS}", "128x128x1:512x512x2:1024x1024x2")
"""One for the training size alone, and a wide one for every other."""
MADE_BY = ("export/**/*.py", "plugins/*.py", "plugins/native/*", "benchmarks/*.py")
"""What weights, bundles, engines and packages depend on."""
OF_PX = {256: 0, 512: 1, 1024: 1}
"""The profile that a size runs in."""
SAME = {"float16": 0.999, "bfloat16": 0.99}


@functools.cache
def place(work: Path) -> Place:
    """The folder that the stages share, for a stage's own; another one where the code that fills it has changed."""
    digest = hashlib.sha256()
    for path in sorted({path for glob in MADE_BY for path in ROOT.glob(glob) if path.is_file()}):
        digest.update(path.read_bytes())
    return Place(work.parent / f"xl2-{digest.hexdigest()[:16]}", MODELS["XL/2"])


def built(work: Path, precision: str) -> tuple[Bundle, float | None]:
    """The bundle with the engine that `fdcn build` makes, and the seconds of it where it was not there already."""
    bundle = place(work).bundle("FlowDCN", 256)
    start = time.perf_counter()
    done = build(bundle, Options(precision=precision, profiles=tuple(map(parse_profile, PROFILES))))
    return done.bundle, time.perf_counter() - start if done.fresh else None


def engine(work: Path, precision: str) -> Path:
    """The denoiser's file of that engine."""
    bundle, _ = built(work, precision)
    made = [e for e in bundle.manifest.engines if e.target and e.target.precision == precision]
    return bundle.graph(made[-1].graphs["denoiser"])


def subject(work: Path, px: int, rows: int = 2) -> Subject:
    """The network in float32 on the GPU, and inputs of one step."""
    import torch

    torch.set_grad_enabled(False)
    return place(work).subject("FlowDCN", px, "float32", "cuda", rows)


def bound(work: Path, precision: str, given: Subject):  # type: ignore[no-untyped-def]
    """A call of the engine on a subject's inputs, after a check against the network."""
    import trt_step

    from fdcn.export.models.flowdcn.architecture import REACH

    step = trt_step.Step(engine(work, precision))
    call = step.bind(given.ahead, OF_PX[given.ahead["latent"].shape[-1] * 8])
    near = cosine(call(), given.wanted)
    assert near >= SAME[precision], f"the engine computes something else: cosine {near}"
    given.reach(REACH)
    return step, call
