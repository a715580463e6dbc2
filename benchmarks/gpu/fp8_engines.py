"""What stage gpu-fp8 builds: XL/2's denoiser for 256 px alone, up to 8 guided pictures, once a precision."""

import time
from pathlib import Path
from typing import Any

import rough
import trt_step
import xl2

from fdcn.bundle import Extent, Profile
from fdcn.export import recipe

PX, PICTURES = 256, 8
PROFILE = Profile(Extent(PX, PX, 2), Extent(PX, PX, 2 * PICTURES), Extent(PX, PX, 2 * PICTURES))
NOT_QUANTISED = "float16"


def recipes(work: Path) -> dict[str, Any]:
    """A recipe a precision, from one guided evaluation."""
    start = time.perf_counter()
    folder = xl2.place(work).once("recipes", lambda path: _make(work, path))
    quantised = {path.stem: len(recipe.load(path).quantised()) for path in sorted(folder.iterdir())}
    return {"seconds": time.perf_counter() - start, "quantised": quantised}


def _make(work: Path, folder: Path) -> None:
    feeds = {name: tensor.cpu().numpy() for name, tensor in xl2.subject(work, PX).ahead.items()}
    folder.mkdir(exist_ok=True)
    for precision, made in rough.recipes(xl2.place(work).bundle("FlowDCN", PX), feeds).items():
        made.save(folder / f"{precision}.json")


def built(work: Path, precision: str) -> dict[str, Any]:
    """An engine, and what TensorRT parsed for it where it was not there already."""
    place, told = xl2.place(work), dict[str, Any]()

    def make(path: Path) -> None:
        start = time.perf_counter()
        bundle, recipe = place.bundle("FlowDCN", PX), _recipe(work, precision)
        told["parsed_layers"] = trt_step.build(bundle, precision, [PROFILE], path, recipe=recipe)
        told["seconds"] = time.perf_counter() - start

    return told | {"bytes": place.once(f"{precision}.engine", make).stat().st_size, "profile": str(PROFILE)}


def engine(work: Path, precision: str) -> Path:
    """The file of an engine."""
    built(work, precision)
    return xl2.place(work).once(f"{precision}.engine", lambda path: None)


def _recipe(work: Path, precision: str) -> recipe.Recipe | None:
    if precision == NOT_QUANTISED:
        return None
    recipes(work)
    return recipe.load(xl2.place(work).folder / "recipes" / f"{precision}.json")
