"""Pictures as files in memory."""

import io
from typing import Any

import numpy as np

from fdcn.runtime.images import QUALITY, png_metadata, to_image
from fdcn.serve.generator import Encoding, Refused
from fdcn.sizes import format_size

LONGEST = {"png": 1 << 31, "jpeg": 65_500, "webp": 16_383}
"""Pixels of a side that a format can hold."""


def check(encoding: Encoding, size: tuple[int, int]) -> None:
    """Raise Refused where a format cannot hold a picture of (width, height)."""
    most = LONGEST[encoding.format]
    if max(size) > most:
        raise Refused(
            f"a picture of {format_size(size)} does not fit into {encoding.format}, whose sides have at most {most} "
            "pixels; ask for png",
            "output_format",
        )


def encode(pixels: np.ndarray, encoding: Encoding, parameters: dict[str, Any] | None = None) -> bytes:
    """A picture, uint8 [H, W, 1 or 3], as a file; a PNG carries the parameters that made it, where they are given."""
    file = io.BytesIO()
    options: dict[str, Any] = {}
    if encoding.format != "png":
        options["quality"] = QUALITY if encoding.compression is None else encoding.compression
    elif parameters:
        options["pnginfo"] = png_metadata(parameters)
    to_image(pixels).save(file, encoding.format, **options)
    return file.getvalue()


def encode_array(array: np.ndarray) -> bytes:
    """An array as an .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def of_each(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """`Images.parameters()` for each of its pictures alone."""
    pairs = zip(parameters["labels"], parameters["seeds"], strict=True)
    return [{**parameters, "labels": [label], "seeds": [seed]} for label, seed in pairs]
