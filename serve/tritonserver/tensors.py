"""The tensors of the model that Triton serves; the configuration and the model itself both read them from here.

Each has the batch first: a row is a picture. Whatever is left out has the bundle's default.
"""

import dataclasses

from fdcn.bundle import Manifest


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One input or output."""

    name: str
    type: str
    """As in config.pbtxt, without TYPE_."""
    dims: tuple[int, ...]
    """Of a row; -1 is any."""
    about: str
    optional: bool = True


def inputs(manifest: Manifest, stream: bool) -> list[Tensor]:
    """What a request may give: the options of `fdcn run`. All rows of one request have the same, but for label, seed
    and noise."""
    given = [
        Tensor("LABEL", "STRING", (1,), "a class's name, or its number as text", optional=False),
        Tensor("SEED", "UINT64", (1,), "0 by default"),
        Tensor("SIZE", "INT32", (2,), "width and height in pixels"),
        Tensor("SOLVER", "STRING", (1,), ""),
        Tensor("STEPS", "INT32", (1,), ""),
        # FP64: in FP32 2.1 would be another guidance than Python's, and another picture.
        Tensor("LAST_STEP", "FP64", (1,), "of Euler and Heun, in (0, 1)"),
        Tensor("GUIDANCE", "FP64", (1,), "1 is none"),
        Tensor("GUIDANCE_CHANNELS", "STRING", (1,), "all or 3"),
        Tensor("GUIDANCE_INTERVAL", "FP64", (2,), "times from 0 to 1"),
        Tensor("S_MAX_ADJUST", "BOOL", (1,), "lengthen taps beyond the training size"),
        Tensor("NOISE", "FP32", (manifest.model.channels, -1, -1), "the initial latent, instead of the seed's"),
    ]
    return [*given, Tensor("PREVIEW_EVERY", "INT32", (1,), "so many evaluations")] if stream else given


def outputs(manifest: Manifest, stream: bool) -> list[Tensor]:
    """What a response has, as far as it was asked for."""
    made = [
        Tensor("PIXELS", "UINT8", (-1, -1, -1), "height, width, channels"),
        Tensor("LATENTS", "FP32", (manifest.model.channels, -1, -1), "as the network gave them"),
        Tensor("PNG", "STRING", (1,), "a file, in base64"),
        Tensor("PARAMETERS", "STRING", (1,), "JSON: what made the picture"),
    ]
    told = [
        Tensor("DONE", "INT32", (1,), "evaluations of the network that are done,"),
        Tensor("TOTAL", "INT32", (1,), "of so many"),
        Tensor("FIRST", "INT32", (1,), "the request's picture that the first of a preview is"),
    ]
    return [*made, *told] if stream else made
