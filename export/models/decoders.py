"""Decoders from latents to pictures: a diffusers VAE with its scale inside the graph, or nothing in pixel space."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdcn.errors import FdcnError
from fdcn.export.models.base import GraphSource, LatentSize
from fdcn.export.trace import Signature

LATENT_FACTOR = 8
"""Pixels a latent element stands for where no VAE says otherwise: Stable Diffusion's, which FlowDCN uses."""
EXAMPLE_SIZE = (8, 12)


@dataclasses.dataclass(frozen=True)
class Decoder:
    """How latents become pictures, and what that takes (see `bundle.Memory`)."""

    factor: int
    """Pixels a latent element stands for."""
    pixel_bytes: int = 0
    pair_bytes: int = 0
    source: Callable[[LatentSize], GraphSource] | None = None
    """The graph for a latent size; None where there is no decoder."""


def choose(channels: int, vae: Path | None) -> Decoder:
    """The decoder of a model: the VAE in a folder, identity for pictures of 1 or 3 channels, else none.

    Raises FdcnError where the folder is no diffusers AutoencoderKL of so many channels, or diffusers is missing.
    """
    if vae is not None:
        return _vae(vae, channels)
    if channels in (1, 3):
        return Decoder(1, source=functools.partial(_identity_source, channels))
    return Decoder(LATENT_FACTOR)


class Identity(nn.Module):
    """A pixel-space model's latent is its picture."""

    def forward(self, latent: Tensor) -> Tensor:
        return latent * 1.0


class VAEDecoder(nn.Module):
    """latent [B, C, H, W] as the diffusion model sees it → pixels [B, 3, f·H, f·W], about [-1, 1]."""

    def __init__(self, vae: nn.Module, scale: float, shift: float) -> None:
        super().__init__()
        self.vae, self.scale, self.shift = vae, scale, shift

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent / self.scale + self.shift, return_dict=False)[0]  # type: ignore[operator]


def _identity_source(channels: int, size: LatentSize) -> GraphSource:
    axes = ["batch", channels, *(size or ("height", "width"))]
    signature = Signature(inputs={"latent": axes}, outputs={"pixels": axes})
    return GraphSource("decoder", lambda: (Identity(), (torch.zeros(2, channels, *(size or EXAMPLE_SIZE)),)), signature)


def _vae(folder: Path, channels: int) -> Decoder:
    config = _config(folder)
    widths = config["block_out_channels"]
    factor = 2 ** (len(widths) - 1)
    if config["latent_channels"] != channels:
        raise FdcnError(
            f"{folder} decodes {config['latent_channels']} channels, the model has {channels}: "
            "name the VAE it was trained with"
        )
    return Decoder(
        factor=factor,
        # The last level's first block: its input of the level below, its two convolutions, in float32.
        pixel_bytes=4 * (widths[min(1, len(widths) - 1)] + 3 * widths[0]),
        # Scores of the middle's self-attention, and their softmax.
        pair_bytes=8,
        source=functools.partial(_vae_source, folder, config, factor),
    )


def _vae_source(folder: Path, config: dict[str, Any], factor: int, size: LatentSize) -> GraphSource:
    channels = config["latent_channels"]
    pixels: tuple[int | str, ...] = (size[0] * factor, size[1] * factor) if size else ("pixel_height", "pixel_width")
    signature = Signature(
        inputs={"latent": ["batch", channels, *(size or ("height", "width"))]},
        outputs={"pixels": ["batch", config["out_channels"], *pixels]},
    )
    return GraphSource(
        "decoder", lambda: (_load(folder, config), (torch.zeros(2, channels, *(size or EXAMPLE_SIZE)),)), signature
    )


def _load(folder: Path, config: dict[str, Any]) -> VAEDecoder:
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise FdcnError("--vae needs diffusers: pip install 'fdcn[vae]'") from error
    try:
        model = AutoencoderKL.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged folder fails in many ways inside diffusers and safetensors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FdcnError(f"{folder}: diffusers cannot load this VAE ({reason[:160]})") from error
    scale, shift = float(config.get("scaling_factor") or 0.18215), float(config.get("shift_factor") or 0.0)
    return VAEDecoder(model.float().eval(), scale, shift)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise FdcnError(f"{folder} is not a diffusers VAE: config.json is missing or not JSON") from error
    if not isinstance(config, dict) or config.get("_class_name") != "AutoencoderKL":
        raise FdcnError(f"{folder} is not a diffusers AutoencoderKL: name the folder with its config.json")
    return {"block_out_channels": [64], "latent_channels": 4, "out_channels": 3, **config}
