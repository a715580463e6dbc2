"""How a network is to be quantised: `fdcn calibrate` writes it into the bundle, `fdcn build --int8`, `--fp8` read it.

A product is a matrix product of the denoiser by a constant weight [K, N], named as that weight is, without ".weight":
blocks.0.projection. Weights are quantised per output channel and need no range: theirs is their largest magnitude.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from fdcn import records
from fdcn.bundle import QUANTISED, replace_file
from fdcn.errors import FdcnError

LARGEST = {"int8": 127.0, "fp8": 448.0}
"""What a quantised number's magnitude goes up to; a scale is a range divided by it."""


@dataclasses.dataclass(frozen=True)
class Activation:
    """A value that products read, as they read it: quantised per tensor, symmetrically."""

    products: list[str]
    """Those of its readers that are quantised; at least one."""
    ranges: list[float]
    """For each step group the largest magnitude that is represented, after migration; positive."""
    migration: list[float] | None = None
    """SmoothQuant's s [K] (arXiv 2211.10438, equation 3): channel k is divided by s_k, and row k of the weights of
    every product that reads the value, quantised or not, is multiplied by it."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that the pass needs which writes Q/DQ pairs into a denoiser."""

    precision: str
    """One of `bundle.QUANTISED`."""
    weights_sha256: str
    """Of the model that it is for."""
    until: list[float]
    """The last time of each step group, ascending; the last is 1. One group where one range serves all steps."""
    activations: list[Activation]
    kept: dict[str, str]
    """Products that stay in high precision, each with the reason."""
    settings: dict[str, str]
    """How it was found, as texts to print."""

    def quantised(self) -> list[str]:
        """The products that are quantised."""
        return [name for activation in self.activations for name in activation.products]

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        text = json.dumps(dataclasses.asdict(self)) + "\n"
        replace_file(path, lambda file: file.write(text.encode()))


def load(path: Path) -> Recipe:
    """Read a recipe. Raises FdcnError where the file is missing, or is none."""
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        recipe: Recipe = records.parse(Recipe, content, "recipe")
        _check(recipe)
    except (OSError, ValueError, records.Malformed) as error:
        raise FdcnError(f"{path} is no recipe of fdcn calibrate ({error}); run fdcn calibrate again") from error
    return recipe


def _check(recipe: Recipe) -> None:
    if recipe.precision not in QUANTISED:
        raise ValueError(f"its precision is {recipe.precision!r}")
    if recipe.until != sorted(set(recipe.until)) or recipe.until[-1:] != [1.0]:
        raise ValueError("its step groups do not ascend to t = 1")
    if not all(activation.products for activation in recipe.activations):
        raise ValueError("an activation has no products")
