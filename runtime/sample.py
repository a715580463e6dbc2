"""The one sampling loop."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from fdcn.runtime.advance import State
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.conditioning import conditioned_rows
from fdcn.runtime.noise import normals
from fdcn.runtime.plan import SamplerPlan


@dataclasses.dataclass(frozen=True)
class Step:
    """What one evaluation did. Arrays are float32 [B, C, H, W]."""

    predicted: np.ndarray
    """The final latent that this evaluation points to."""
    point: np.ndarray
    """The next point; the last step's is the result."""


def initial_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> np.ndarray:
    """The latents that a trajectory starts from, one image a seed: float32 [B, *shape]."""
    return np.stack([normals(seed, 0, 0, shape) for seed in seeds])


def trajectory(
    backend: Backend, plan: SamplerPlan, noise: np.ndarray, labels: Sequence[int], seeds: Sequence[int], null: int
) -> Iterator[Step]:
    """Sample one batch from its initial latents [B, C, H, W]; gives each evaluation as it is done."""
    state = State(plan, noise)
    for r, (row, (modulation, final)) in enumerate(conditioned_rows(backend, plan, labels, null)):
        doubled = np.tile(state.point, (len(row.passes), 1, 1, 1))
        s_max = np.tile(row.s_max, (len(doubled), 1, 1))
        v = backend.denoise(row.passes[0].graph, doubled, modulation, final, s_max)
        evaluated = state.point

        def fresh(draw: int, step: int = r + 1) -> np.ndarray:
            return np.stack([normals(seed, step, draw, noise.shape[1:]) for seed in seeds])

        weighted = state.advance(row, np.split(v, len(row.passes)), fresh)
        yield Step(row.predicted[0] * evaluated + row.predicted[1] * weighted, state.point)
