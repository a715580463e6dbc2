"""Pictures: from latents to files."""

import dataclasses
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from fdcn.bundle import replace_file
from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.grid import grid
from fdcn.runtime.request import Request
from fdcn.sizes import format_size

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
QUALITY = 95
FRAME_MILLISECONDS = 200
LAST_FRAME_MILLISECONDS = 2000


@dataclasses.dataclass(frozen=True)
class Images:
    """The result of a run."""

    pixels: Any
    """uint8 [B, H, W, C], C 1 or 3, exactly the size asked for: a NumPy array, or with `on_device` an object with
    `__dlpack__`."""
    latents: Any
    """float32 [B, C, h, w], as the network gave them, at the rounded-up size; an array like `pixels`."""
    previews: list[np.ndarray]
    """Predicted final pictures along the way, each like `pixels`."""
    request: Request
    names: list[str]
    """What each image shows."""

    def save(self, path: str | Path) -> Path:
        """Write one picture as it is, or several as a labelled grid: .png, .jpg or .webp by the name's ending.

        Returns the path. Raises FdcnError for another ending, or where the file cannot be written.
        """
        path = Path(path)
        format = picture_format(path)
        picture = self._picture(_on_host(self.pixels))
        options: dict[str, Any] = {"quality": QUALITY}
        if format == "PNG":
            options = {"pnginfo": png_metadata(self.parameters())}

        def write(file: BinaryIO) -> None:
            try:
                picture.save(file, format, **options)
            except ValueError as error:
                raise FdcnError(
                    say("picture.too_large", format=format, size=format_size(picture.size), reason=error)
                ) from error

        replace_file(path, write)
        return path

    def save_preview(self, path: str | Path) -> Path:
        """Write the predictions along the way, and the result, as an animated GIF. Returns the path."""
        frames = [
            self._picture(pixels).convert("P", palette=Image.Palette.ADAPTIVE)
            for pixels in [*self.previews, _on_host(self.pixels)]
        ]
        times = [FRAME_MILLISECONDS] * len(self.previews) + [LAST_FRAME_MILLISECONDS]
        replace_file(
            Path(path),
            lambda file: frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0),
        )
        return Path(path)

    def save_latents(self, path: str | Path) -> Path:
        """Write the final latents as .npy. Returns the path."""
        latents = _on_host(self.latents)
        replace_file(Path(path), lambda file: np.save(file, latents))
        return Path(path)

    def parameters(self) -> dict[str, Any]:
        """What made these pictures, as JSON values: the same request gives the same pictures."""
        r, g = self.request, self.request.guidance
        return {
            "labels": self.names,
            "seeds": list(r.seeds),
            "size": list(r.size),
            "solver": r.solver,
            "steps": r.steps,
            "last_step": r.last_step,
            "guidance": g.scale,
            "guidance_channels": g.channels,
            "guidance_interval": list(g.interval),
            "s_max_adjust": r.s_max_adjust,
            "noise": "given" if r.noise is not None else "seeds",
        }

    def _picture(self, pixels: np.ndarray) -> Image.Image:
        if len(pixels) == 1:
            return to_image(pixels[0])
        captions = [f"{name} · {seed}" for name, seed in zip(self.names, self.request.seeds, strict=True)]
        return grid([to_image(p) for p in pixels], captions)


def png_metadata(parameters: dict[str, Any]) -> PngImagePlugin.PngInfo:
    """What a PNG says of its making."""
    from fdcn import __version__

    info = PngImagePlugin.PngInfo()
    info.add_text("Software", f"fdcn {__version__}")
    info.add_text("fdcn", json.dumps(parameters))
    return info


def _on_host(array: Any) -> np.ndarray:
    """An array that is about to be written."""
    if not isinstance(array, np.ndarray):
        raise FdcnError(say("picture.on_gpu"))
    return array


def picture_format(path: Path) -> str:
    """Pillow's name of a file's format by its ending. Raises FdcnError where it is none that fdcn writes."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise FdcnError(say("picture.format", file=path)) from None


def to_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 1 or 3] to a Pillow picture."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def to_pixels(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float [B, C, H, W] in [-1, 1] to uint8 [B, height, width, C], cropped to (width, height)."""
    width, height = size
    levels = np.clip(np.rint((picture[:, :, :height, :width] + 1) * 127.5), 0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(0, 2, 3, 1))


def latent_preview(latent: np.ndarray, factor: int) -> np.ndarray:
    """A rough picture of a latent that has no decoder: its first three channels over ±3 deviations, scaled up."""
    shown = np.repeat(latent[:, :1], 3, 1) if latent.shape[1] < 3 else latent[:, :3]
    return np.clip(shown / 3, -1, 1).repeat(factor, 2).repeat(factor, 3)
