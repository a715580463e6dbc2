"""Decoders from latents to pictures: a diffusers VAE with its scale inside the graph, or nothing in pixel space."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdcn.errors import FdcnError
from fdcn.export.models.base import GraphSource, LatentSize
from fdcn.export.trace import Signature

EXAMPLE_SIDE = 8


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


def identity(channels: int, size: LatentSize) -> GraphSource:
    """The decoder of a pixel-space model."""
    height, width = size or ("height", "width")
    axes: list[int | str] = ["batch", channels, height, width]
    return GraphSource(
        "decoder",
        lambda: (Identity(), (torch.zeros(2, channels, *(size or (EXAMPLE_SIDE, 12))),)),
        Signature(inputs={"latent": axes}, outputs={"pixels": axes}),
    )


def pixel_factor(folder: Path) -> int:
    """Pixels a latent element of a VAE stands for. Raises FdcnError where the folder is no diffusers AutoencoderKL."""
    return 2 ** (len(_config(folder)["block_out_channels"]) - 1)


def vae(folder: Path, channels: int, size: LatentSize) -> GraphSource:
    """The decoder of a diffusers AutoencoderKL folder.

    Raises FdcnError where the folder is not such a VAE, its channels are not the model's, or diffusers is missing.
    """
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise FdcnError("--vae needs diffusers: pip install 'fdcn[vae]'") from error
    config = _config(folder)
    latent_channels = config["latent_channels"]
    if latent_channels != channels:
        raise FdcnError(
            f"{folder} decodes {latent_channels} channels, the model has {channels}: name the VAE it was trained with"
        )
    factor = pixel_factor(folder)
    height, width = size or ("height", "width")
    pixels: list[int | str] = ["pixel_height", "pixel_width"] if size is None else [size[0] * factor, size[1] * factor]

    def build() -> tuple[nn.Module, tuple[Tensor, ...]]:
        try:
            model = AutoencoderKL.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise FdcnError(f"{folder}: diffusers cannot load this VAE ({reason[:160]})") from error
        scale = float(config.get("scaling_factor") or 0.18215)
        shift = float(config.get("shift_factor") or 0.0)
        example = torch.zeros(2, channels, *(size or (EXAMPLE_SIDE, 12)))
        return VAEDecoder(model.float().eval(), scale, shift), (example,)

    signature = Signature(
        inputs={"latent": ["batch", channels, height, width]},
        outputs={"pixels": ["batch", config["out_channels"], *pixels]},
    )
    return GraphSource("decoder", build, signature)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise FdcnError(f"{folder} is not a diffusers VAE: config.json is missing or not JSON") from error
    if not isinstance(config, dict) or config.get("_class_name") != "AutoencoderKL":
        raise FdcnError(f"{folder} is not a diffusers AutoencoderKL: name the folder with its config.json")
    return {"block_out_channels": [64], "latent_channels": 4, "out_channels": 3, **config}
