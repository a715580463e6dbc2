"""What options of the command line may say, and those that several commands have."""

import contextlib
import re
from pathlib import Path
from typing import Any

import click

from fdcn import DEFAULT_BUNDLE
from fdcn.sizes import parse_size


class Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """WIDTHxHEIGHT."""

    name = "WIDTHxHEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        try:
            return value if isinstance(value, tuple) else parse_size(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


class Interval(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """LO:HI with 0 <= LO <= HI <= 1."""

    name = "LO:HI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        with contextlib.suppress(ValueError):
            low, high = map(float, value.split(":"))
            if 0 <= low <= high <= 1:
                return low, high
        return self.fail(f"{value!r} is not LO:HI with 0 <= LO <= HI <= 1, such as 0.1:0.9", param, ctx)


class Architectures(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """SM[,SM...] as sm_86,sm_89."""

    name = "SM[,SM...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = [name.strip().lower() for name in value.split(",")]
        if all(re.fullmatch(r"sm_\d{2,3}", name) for name in names):
            return tuple(dict.fromkeys(names))
        return self.fail(f"{value!r} is not a list of architectures, such as sm_86,sm_89", param, ctx)


class ProfileRange(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """MIN:OPT:MAX, each a WIDTHxHEIGHT or WIDTHxHEIGHTxBATCH."""

    name = "MIN:OPT:MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fdcn.export.profiles import parse_profile

        try:
            return parse_profile(value) if isinstance(value, str) else value
        except ValueError as error:
            return self.fail(str(error), param, ctx)


BUNDLE = click.argument("bundle", type=click.Path(path_type=Path), default=DEFAULT_BUNDLE, required=False)

# Options that several commands have.
BACKEND = click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "tensorrt"]),
    default="auto",
    show_default=True,
    help="What runs the network.",
)
ALLOW_BUNDLED_CODE = click.option(
    "--allow-bundled-code", is_flag=True, help="Load the operator's library from the bundle, if this machine has none."
)
SEED = click.option("--seed", type=int, default=0, show_default=True, help="Picture i has seed S + i.")
SOLVER = click.option("--solver", metavar="NAME", help="As in fdcn run. [default: the bundle's]")
STEPS = click.option("--steps", type=int, help="Steps of the solver. [default: the bundle's, with its solver]")
GUIDANCE = click.option("--guidance", type=float, help="Classifier-free guidance; 1 is none. [default: the bundle's]")
GUIDANCE_CHANNELS = click.option(
    "--guidance-channels",
    type=click.Choice(["all", "3"]),
    default="all",
    show_default=True,
    help="Guide all channels, or the first three.",
)
GUIDANCE_INTERVAL = click.option(
    "--guidance-interval",
    type=Interval(),
    default="0:1",
    show_default=True,
    help="Guide only at these times, ends included (0 noise, 1 picture).",
)
S_MAX_ADJUST = click.option(
    "--s-max-adjust/--no-s-max-adjust",
    default=None,
    help="Lengthen taps beyond the training size. [default: on for models trained at one aspect ratio]",
)
