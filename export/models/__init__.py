"""The model families that fdcn can export."""

from collections.abc import Mapping

from torch import Tensor

from fdcn.errors import FdcnError
from fdcn.export.checkpoint import listing
from fdcn.export.models import flowdcn
from fdcn.export.models.base import Family, ModelSource

FAMILIES: tuple[Family, ...] = (flowdcn.FAMILY,)


def read(tensors: Mapping[str, Tensor], source: str) -> ModelSource:
    """Recognise a checkpoint's family and read its architecture off the shapes. Raises FdcnError where none fits."""
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    for family in FAMILIES:
        if family.recognise(shapes):
            return family.read(tensors, source)
    names = ", ".join(family.name for family in FAMILIES)
    found = listing(f"{name} {list(shape)}" for name, shape in shapes.items())
    raise FdcnError(f"{source} is not a checkpoint of a family that fdcn knows ({names}): it holds {found}")
