"""Which requests a server grants."""

from collections.abc import Mapping
from typing import Any

from fdcn.bundle import Manifest
from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline
from fdcn.runtime.request import Request, resolve
from fdcn.serve import encode
from fdcn.serve.generator import Ask, Refused
from fdcn.serve.settings import MIB, Settings
from fdcn.sizes import format_size

PREVIEW_BYTES = 256 * MIB
"""Most memory that a request's previews may take, which are kept until its end."""


def granted(manifest: Manifest, ask: Ask, settings: Settings) -> Request:
    """A request, complete. Raises FdcnError for an impossible one and Refused beyond the server's limits."""
    options = dict(ask.options)
    every = options.pop("preview_every", 0)
    # Before anything is made of them: a name is looked up for every picture, and a row planned for every step.
    _check_images(options.get("count", 1) * len(options.get("labels") or (0,)), settings)
    _check_steps(options.get("steps") or 0, settings)
    request = resolve(manifest, **options)
    _check_images(len(request.labels), settings)
    _check_steps(request.steps, settings)
    check_size(request.size, settings.max_size)
    encode.check(ask.encoding, request.size)
    if ask.watched and every > 0:
        _check_previews(request, every)
    return request


def at_fault(pipe: Pipeline, options: Mapping[str, Any]) -> str | None:
    """The field without which an impossible request would be possible; None where there is no single one."""

    def possible(without: str | None) -> bool:
        fields = {name: value for name, value in options.items() if name not in ("preview_every", without)}
        try:
            pipe.plan(resolve(pipe.bundle.manifest, **fields))
        except FdcnError:
            return False
        return True

    return None if possible(None) else next(filter(possible, options), None)


def submitted(ask: Ask) -> dict[str, Any]:
    """The arguments of `Pipeline.submit`: nobody sees the previews of a request that is not watched."""
    options = dict(ask.options)
    if not ask.watched:
        options["preview_every"] = min(0, options.get("preview_every", 0))
    return options


def check_size(size: tuple[int, int], most: tuple[int, int]) -> None:
    """Raise Refused where a picture of (width, height) has a side, or pixels, beyond those of the largest one."""
    if max(size) > max(most) or size[0] * size[1] > most[0] * most[1]:
        raise Refused(
            f"a picture of {format_size(size)} is too large; this server makes up to {format_size(most)}", "size"
        )


def _check_images(images: int, settings: Settings) -> None:
    if images > settings.max_images:
        raise Refused(f"{images} pictures are too many; this server makes {settings.max_images} a request", "count")


def _check_steps(steps: int, settings: Settings) -> None:
    if steps > settings.max_steps:
        raise Refused(f"{steps} steps are too many; this server takes up to {settings.max_steps}", "steps")


def _check_previews(request: Request, every: int) -> None:
    width, height = request.size
    frame = 3 * width * height * len(request.labels)
    if (request.steps // every) * frame > PREVIEW_BYTES:
        least = -(-request.steps * frame // PREVIEW_BYTES)
        raise Refused(f"previews every {every} evaluations are too many; ask for one every {least}", "preview_every")
