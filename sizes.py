"""Sizes in pixels: how they are written, and the latent that holds a picture."""

import re

from fdcn.messages import say


def parse_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT, as 512x256, into (width, height). Raises ValueError with the reason."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text, re.ASCII)
    if not match:
        raise ValueError(say("size.not_a_size", text=repr(text)))
    width, height = int(match[1]), int(match[2])
    if width < 1 or height < 1:
        raise ValueError(say("size.no_pixels", text=repr(text)))
    return width, height


def format_size(size: tuple[int, int]) -> str:
    """(width, height) as WIDTHxHEIGHT."""
    return f"{size[0]}x{size[1]}"


def latent_size(size: tuple[int, int], patch: int, pixel_factor: int) -> tuple[int, int]:
    """(height, width) of the latent that covers a picture of (width, height) pixels in whole patches."""
    unit = patch * pixel_factor
    width, height = size
    return -(-height // unit) * patch, -(-width // unit) * patch
