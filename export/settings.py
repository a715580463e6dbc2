"""What a checkpoint does not say about its model: training size, aspect ratios, class names."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from fdcn import data
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.models.base import ModelSource
from fdcn.sizes import parse_size

IMAGENET = "imagenet"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Training size (width, height) in pixels, whether aspect ratios were mixed, and class names if known."""

    train_size: tuple[int, int]
    mixed_aspect: bool
    class_names: list[str] | None


def resolve(
    model: ModelSource,
    metadata: Mapping[str, str],
    previous: Bundle | None,
    train_size: tuple[int, int] | None,
    mixed_aspect: bool | None,
    class_names: str | None,
) -> Settings:
    """Take each setting from its option, else the file's metadata, else a bundle of the same weights, else a default.

    The defaults are FlowDCN's own: 256x256 for 4-channel latents, ImageNet's names for 1,000 classes.
    Raises FdcnError, naming the option, where a setting is wrong or nothing says the training size.
    """
    old = previous.manifest if previous else None
    if train_size is None:
        if "fdcn.train_size" in metadata:
            train_size = _parsed_size(metadata["fdcn.train_size"])
        elif old:
            train_size = (old.train_size[0], old.train_size[1])
        elif model.channels == 4:
            train_size = (256, 256)
        else:
            raise FdcnError("the checkpoint does not say the size it was trained at; add --train-size WIDTHxHEIGHT")
    if mixed_aspect is None:
        mixed_aspect = (
            metadata["fdcn.mixed_aspect"] == "true"
            if "fdcn.mixed_aspect" in metadata
            else bool(old and old.mixed_aspect)
        )
    return Settings(train_size, mixed_aspect, _names(model, metadata, previous, class_names))


def _parsed_size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text)
    except ValueError as error:
        raise FdcnError(
            f"the checkpoint's metadata fdcn.train_size is no size: {error}; add --train-size WIDTHxHEIGHT"
        ) from error


def _names(
    model: ModelSource, metadata: Mapping[str, str], previous: Bundle | None, option: str | None
) -> list[str] | None:
    names: list[str] | None
    if option == IMAGENET:
        names, source = data.imagenet_class_names(), "imagenet"
    elif option is not None:
        names, source = _read_names(Path(option)), option
    elif "fdcn.class_names" in metadata:
        names, source = _listed(metadata["fdcn.class_names"]), "the checkpoint's metadata fdcn.class_names"
    elif previous is not None and previous.manifest.class_names is not None:
        names, source = previous.manifest.class_names, str(previous.path)
    elif model.channels == 4 and model.classes == 1000:
        names, source = data.imagenet_class_names(), "imagenet"
    else:
        return None
    if len(names) != model.classes:
        raise FdcnError(
            f"{source} has {len(names)} class names, the model has {model.classes} classes; give --class-names FILE"
        )
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise FdcnError(f"{source} names two classes {twice!r}; make the names differ")
    return names


def _read_names(path: Path) -> list[str]:
    """A text file with a name a line, or a JSON list."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FdcnError(
            f"cannot read class names from {path}: {error}; wanted a text file with a name a line"
        ) from error
    return (
        _listed(text) if text.lstrip().startswith("[") else [line.strip() for line in text.splitlines() if line.strip()]
    )


def _listed(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except ValueError as error:
        raise FdcnError(f"class names are not a JSON list: {error}; give --class-names FILE") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FdcnError("class names must be a JSON list of texts; give --class-names FILE")
    return names
