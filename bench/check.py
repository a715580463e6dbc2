"""What must hold before a time counts: the same numbers as ONNX Runtime has on the graphs as they were exported."""

from collections.abc import Mapping

import numpy as np

from fdcn.bundle import Bundle, Engine
from fdcn.errors import FdcnError
from fdcn.runtime.backends.base import Backend
from fdcn.verify.limits import NETWORK, PICTURE
from fdcn.verify.psnr import psnr

WHITE = 255.0
"""The signal that a picture's PSNR is over."""
Feeds = Mapping[str, np.ndarray]


class Failed(FdcnError):
    """Something computes what it should not: it has no times."""


def open_reference(bundle: Bundle) -> Backend:
    """The portable graphs as they were exported: no engine, no fusion, no operator but the file's function."""
    from fdcn.runtime.backends import onnxrt

    # Graphs that are called optimised are run as they are.
    as_exported = Engine(onnxrt.NAME, onnxrt.engine_key(False), bundle.manifest.graphs)
    return onnxrt.OnnxRuntime(bundle.with_engines(as_exported), native=False)


def network(
    reference: Backend, backend: Backend, feeds: Feeds, precision: str, graph: str = "denoiser"
) -> dict[str, float]:
    """Compare one evaluation; the reference computes the first row and the last, which no other row changes.

    `graph` is the one that makes it in the backend. Gives the least cosine of the velocity. Raises Failed where that
    is not enough.
    """
    got = backend.denoise(graph, **feeds)
    ends = sorted({0, len(got) - 1})
    wanted = reference.denoise("denoiser", **{name: array[ends] for name, array in feeds.items()})
    return {"velocity_cosine": _enough("the velocity", wanted, got[ends], precision)}


def conditioner(wanted: Feeds, got: Feeds, precision: str) -> dict[str, float]:
    """Compare what the conditioners of reference and backend made of one request; as `network`."""
    return {f"{n}_cosine": _enough(f"the {n}", wanted[n], got[n], precision) for n in ("modulation", "final")}


def picture(wanted: np.ndarray, got: np.ndarray, precision: str) -> dict[str, float]:
    """Compare pictures, uint8 [B, H, W, C]; gives the PSNR in dB, 999 where they are equal. Raises Failed."""
    if wanted.shape != got.shape:
        raise Failed(f"pictures are {list(got.shape)}, the reference's {list(wanted.shape)}")
    wanted, got = wanted.astype(np.float64), got.astype(np.float64)
    found = min(psnr(*pair, WHITE) for pair in zip(wanted, got, strict=True))
    if not found >= PICTURE[precision].psnr:
        raise Failed(f"a picture is {found:.1f} dB from the reference's, {PICTURE[precision].psnr:g} is the least")
    return {"picture_psnr": min(found, 999.0)}


def _enough(what: str, wanted: np.ndarray, got: np.ndarray, precision: str) -> float:
    if wanted.shape != got.shape:
        raise Failed(f"{what} is {list(got.shape)}, the reference's {list(wanted.shape)}")
    found = min(cosine(*pair) for pair in zip(wanted, got, strict=True))
    if not found >= NETWORK[precision].cosine:
        least = NETWORK[precision].cosine
        raise Failed(f"{what} has cosine {found:.7f} to the reference's, {least:g} is the least in {precision}")
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angle between two arrays, in float64; NaN where one is not finite, and 1 where both are zero."""
    a, b = (array.astype(np.float64).ravel() for array in (a, b))
    if not a.any() and not b.any():
        return 1.0
    with np.errstate(all="ignore"):
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
