"""Several tensors in one block of memory, on the device or on the host."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

ALIGNMENT = 256
"""What TensorRT wants of a tensor's address, in bytes; CUDA's own blocks begin so."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor's shape and NumPy dtype."""

    shape: tuple[int, ...]
    dtype: Any = np.float32

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Layout:
    """Where each tensor begins in a block of `size` bytes."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)
        self.offsets: dict[str, int] = {}
        self.size = 0
        for name, tensor in tensors.items():
            self.offsets[name] = self.size
            self.size += -(-tensor.bytes // ALIGNMENT) * ALIGNMENT

    def view(self, block: np.ndarray, name: str) -> np.ndarray:
        """A tensor in a block of the host's memory, uint8 [size]."""
        tensor, start = self.tensors[name], self.offsets[name]
        return block[start : start + tensor.bytes].view(tensor.dtype).reshape(tensor.shape)
