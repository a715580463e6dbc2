"""Reading training checkpoints: .pth/.pt state dicts, Lightning .ckpt and .safetensors, without running their code."""

import dataclasses
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fdcn.errors import FdcnError

Weights = Literal["ema", "raw"]
NAMED_AT_MOST = 4
"""How many tensors an error message names before it only counts."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Float32 tensors by their names in training, prefixes of wrappers stripped, all finite; and file metadata."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(t.shape) for name, t in self.tensors.items()}


def load(path: str | Path, weights: Weights = "ema") -> Checkpoint:
    """Read a checkpoint.

    A Lightning .ckpt holds the trained weights ("raw") and their moving average ("ema"); any other file holds one set.
    Raises FdcnError for a file that is missing, truncated, of another format, that wants to run code, or whose
    tensors are not finite floating-point numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FdcnError(f"{path}: no such checkpoint file")
    if _is_safetensors(path):
        tensors, metadata = _load_safetensors(path)
    else:
        tensors, metadata = _select(_load_pickle(path), path, weights), {}
    tensors = _strip_wrappers(tensors, path)
    return Checkpoint(path, _checked(tensors, path), metadata)


def listing(items: Iterable[str]) -> str:
    """The first few items of a list, and how many more there are."""
    items = list(items)
    more = len(items) - NAMED_AT_MOST
    return "; ".join(items[:NAMED_AT_MOST]) + (f"; and {more} more" if more > 0 else "")


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix == ".safetensors" or (len(head) == 9 and head[8:] == b"{" and not zipfile.is_zipfile(path))


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FdcnError(f"{path} is not a whole safetensors file ({error}); copy it again") from error


def _load_pickle(path: Path) -> Any:
    # Only a zip archive can be mapped; the older format is read whole.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles by other hands; what matters is raised
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        wanted = str(error)
        if "GLOBAL " in wanted or "Unsupported" in wanted:
            what = wanted.split("GLOBAL ", 1)[-1].split(" ", 1)[0] if "GLOBAL " in wanted else "code"
            raise FdcnError(
                f"{path} is refused: loading it would run code of its own ({what}). "
                "Save its tensors alone, torch.save(model.state_dict(), …), or as .safetensors"
            ) from error
        raise FdcnError(
            f"{path} is not a checkpoint that torch can read: wanted .pth, .ckpt or .safetensors"
        ) from error
    except Exception as error:
        # A damaged file fails in many ways inside torch (RuntimeError, EOFError, KeyError, ValueError, …).
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FdcnError(
            f"{path} is truncated or not a checkpoint ({reason[:120]}); wanted .pth, .ckpt or .safetensors"
        ) from error


def _select(content: Any, path: Path, weights: Weights) -> dict[str, Tensor]:
    """The wanted set of tensors out of what a pickle held."""
    if not isinstance(content, Mapping):
        raise FdcnError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors")
    nested = content.get("state_dict")
    if not isinstance(nested, Mapping):
        return _tensors(content, path)
    raw = _tensors(nested, path)
    if "optimizer_states" not in content or weights == "raw":
        return raw
    return _ema(content["optimizer_states"], raw, path)


def _tensors(mapping: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    others = [str(name) for name, value in mapping.items() if not isinstance(value, Tensor)]
    if others or not mapping:
        raise FdcnError(
            f"{path} is not a state_dict: " + (f"these are not tensors: {listing(others)}" if others else "it is empty")
        )
    return {str(name): value for name, value in mapping.items()}


def _ema(optimizer_states: Any, raw: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Name the moving averages: a list in `parameters()` order, which is the raw state_dict's order."""
    try:
        ema = list(optimizer_states[0]["ema"])
    except (LookupError, TypeError) as error:
        raise FdcnError(
            f"{path} holds no EMA (optimizer_states[0]['ema']); take the raw weights: --weights raw"
        ) from error
    if len(ema) != len(raw):
        raise FdcnError(f"{path}: the EMA list has {len(ema)} tensors for {len(raw)} parameters; take --weights raw")
    wrong = [
        f"{name}: EMA {tuple(getattr(average, 'shape', ()))}, parameter {tuple(value.shape)}"
        for (name, value), average in zip(raw.items(), ema, strict=True)
        if not isinstance(average, Tensor) or average.shape != value.shape
    ]
    if wrong:
        raise FdcnError(f"{path}: the EMA list is in another order than the parameters ({listing(wrong)})")
    return dict(zip(raw, ema, strict=True))


def _strip_wrappers(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Drop what DataParallel, torch.compile and FlowDCN's Lightning module put in front of the names."""
    stripped = {}
    for name, tensor in tensors.items():
        plain = name.replace("_orig_mod.", "")
        while plain.startswith(("module.", "denoiser.")):
            plain = plain.split(".", 1)[1]
        if plain in stripped:
            raise FdcnError(f"{path} holds {plain} twice, with different prefixes: keep one set of weights")
        stripped[plain] = tensor
    return stripped


def _checked(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    kinds = [f"{name} is {t.dtype}" for name, t in tensors.items() if not t.is_floating_point()]
    if kinds:
        raise FdcnError(f"{path}: weights must be floating point, but {listing(kinds)}")
    result = {name: t.detach().float() for name, t in tensors.items()}
    # A sum is finite unless a term is not or it overflows; only then is the slow question asked.
    broken = [
        f"{name} {tuple(t.shape)}"
        for name, t in result.items()
        if not math.isfinite(t.sum().item()) and not torch.isfinite(t).all()
    ]
    if broken:
        raise FdcnError(f"{path}: NaN or infinity in {listing(broken)}; export an earlier checkpoint")
    return result
