"""What stage gpu-baselines does: engines and compiled networks ahead of time, then all of them beside each other."""

import os
import time
from pathlib import Path
from typing import Any

import xl2
from bench_steps import accepted

PRECISION = "float16"
REPEATS = 50
OVER_COMPILE, OF_MAC_RATIO = 2.0, 0.9
"""What is to be reached: over torch.compile of the network as released; of the multiply-adds' ratio, against SiT."""


def engine(work: Path, name: str, px: int) -> dict[str, Any]:
    """The TensorRT engines of a network for one size."""
    import rivals

    seconds = {}
    for edit in ("", "half-softmax") if name == "SiT" else ("",):
        start = time.perf_counter()
        rivals.built(xl2.place(work), name, px, PRECISION, edit)
        seconds[edit or "as exported"] = time.perf_counter() - start
    return {"seconds": seconds}


def compiled(work: Path, name: str, px: int) -> dict[str, Any]:
    """What torch compiles of a network for one size, into the cache that the timed check then reads."""
    rivals, subject = _prepared(work, name, px)
    seconds = {}
    for contender, make in rivals.of(subject, xl2.place(work), px, PRECISION, "cuda", None).items():
        if contender.startswith(("torch.compile", "AOTInductor")):
            start = time.perf_counter()
            try:
                make()()
            except Exception as error:  # noqa: BLE001 -- the timed check tells it, too
                seconds[contender] = f"{type(error).__name__}: {str(error)[:200]}"
            else:
                seconds[contender] = time.perf_counter() - start
    return {"seconds": seconds}


def timed(work: Path, px: int) -> dict[str, Any]:
    """Every contender at one size."""
    _cached(work)
    import baselines

    source = os.environ.get("FLOWDCN_SOURCE")
    released = Path(source) if source else None
    told = baselines.measure(xl2.place(work), px, PRECISION, "cuda", REPEATS, released)
    told |= told.pop("ratios")
    wanted = {
        "over torch.compile, whole": (OVER_COMPILE, 100.0),
        "SiT at its best, of the MAC ratio": (OF_MAC_RATIO, 100.0),
    }
    return accepted(told, **wanted)


def _prepared(work: Path, name: str, px: int) -> tuple[Any, Any]:
    _cached(work)
    import rivals
    import torch

    torch.set_grad_enabled(False)
    return rivals, xl2.place(work).subject(name, px, PRECISION, "cuda")


def _cached(work: Path) -> None:
    """Let torch keep what it compiles and what it times where the next check finds it."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(work / "inductor")
    os.environ["TRITON_CACHE_DIR"] = str(work / "triton")
