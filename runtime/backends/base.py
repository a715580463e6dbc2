"""The interface between the sampler and whatever runs the network."""

from typing import Protocol

import numpy as np


class Backend(Protocol):
    """The graphs of one bundle, ready to run. Arrays are float32 unless a line says otherwise."""

    name: str
    """For people: which library runs which artifact."""
    conditioning_bytes: int
    """Size of one row of the conditioner's outputs."""

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t [S], label int64 [B] → modulation [S·B, blocks, 6, h] and final [S·B, 2, h], row s·B + b."""
        ...

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        """latent [B, C, H, W] and its conditioning, s_max [B, blocks, 2] → velocity [B, C, H, W]."""
        ...

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        """latent [B, C, H, W] → pixels [B, 3 or 1, f·H, f·W], about [-1, 1]; None where the bundle has no decoder."""
        ...
