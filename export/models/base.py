"""What a model family tells the exporter about a checkpoint. One folder a family; nothing else knows its names."""

import dataclasses
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from fdcn.bundle import Sampling
from fdcn.export.trace import Signature

Shapes = Mapping[str, tuple[int, ...]]
LatentSize = tuple[int, int] | None
"""(height, width) of the only latent that the graphs will take, or None for dynamic graphs."""


@dataclasses.dataclass(frozen=True)
class GraphSource:
    """One graph to export: `build` makes its module and an example of its inputs, as late as possible."""

    name: str
    build: Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]
    signature: Signature


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A recognised checkpoint: its numbers, its sampler's defaults, and the graphs that it becomes."""

    family: str
    architecture: dict[str, int]
    blocks: int
    channels: int
    classes: int
    patch: int
    parameters: int
    token_bytes: int
    """About the most memory that the denoiser's activations take a token, in float32."""
    sampling: Sampling
    graphs: Callable[[LatentSize], list[GraphSource]]


@dataclasses.dataclass(frozen=True)
class Family:
    """A kind of checkpoint. `recognise` sees names and shapes alone; `read` raises FdcnError where they are wrong."""

    name: str
    recognise: Callable[[Shapes], bool]
    read: Callable[[Mapping[str, Tensor], str], ModelSource]
