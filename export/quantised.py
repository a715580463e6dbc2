"""The recipe of a bundle's calibration, and the names that its step groups have in an engine."""

import dataclasses

from fdcn.bundle import OPTIONS, Bundle, StepGroup
from fdcn.errors import FdcnError
from fdcn.export import recipe as recipes
from fdcn.export.recipe import Recipe

GRAPH = "denoiser"
"""The graph that is quantised."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A recipe of a bundle."""

    recipe: Recipe
    file: str
    """Its path inside the bundle."""
    sha256: str
    """Of the file."""


def find(bundle: Bundle, precision: str) -> Found:
    """The recipe for "int8" or "fp8" that a bundle was calibrated to.

    Raises FdcnError, naming `fdcn calibrate`, where there is none, or one of other weights.
    """
    m, command = bundle.manifest, f"run fdcn calibrate {bundle.path}"
    wanted = m.model.weights_sha256
    if m.calibration is None or precision not in m.calibration.recipes:
        raise FdcnError(f"{bundle.path} holds no calibration for {OPTIONS[precision]}; {command}")
    path = m.calibration.recipes[precision]
    recipe = recipes.load(bundle.file(path))
    for found in (m.calibration.weights_sha256, recipe.weights_sha256):
        if found != wanted:
            other = f"other weights ({found[:12]}…) than it has ({wanted[:12]}…)"
            raise FdcnError(f"{bundle.path} was calibrated with {other}; {command}")
    if recipe.precision != precision:
        raise FdcnError(f"{bundle.path / path} is a recipe for {recipe.precision}, wanted {precision}; {command}")
    return Found(recipe, path, m.files[path].sha256)


def graph_names(recipe: Recipe) -> list[str]:
    """The name of each step group's graph in an engine."""
    return [GRAPH if group == 0 else f"{GRAPH}-{group + 1}" for group in range(len(recipe.until))]


def step_groups(recipe: Recipe) -> list[StepGroup]:
    """What an engine says of a recipe's step groups: nothing where there is one."""
    if len(recipe.until) == 1:
        return []
    return [StepGroup(until, graph) for until, graph in zip(recipe.until, graph_names(recipe), strict=True)]


def summary(recipe: Recipe) -> str:
    """What is quantised, in a line."""
    count = len(recipe.quantised())
    groups = f", with other ranges in each of {len(recipe.until)} groups of steps" if len(recipe.until) > 1 else ""
    return f"{count} of {count + len(recipe.kept)} products in {recipe.precision.upper()}{groups}"
