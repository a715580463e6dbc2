"""The one sampling loop, around any backend."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import numpy as np

from fdcn.bundle import Manifest
from fdcn.errors import FdcnError, OutOfMemory
from fdcn.messages import say
from fdcn.runtime import memory
from fdcn.runtime.advance import State
from fdcn.runtime.arena import Arena, Modulations
from fdcn.runtime.backends.base import Backend, Batch, HasSampler, Sampled, Sampler, Show, unseen
from fdcn.runtime.images import latent_preview, to_pixels
from fdcn.runtime.noise import normals
from fdcn.runtime.plan import Row, SamplerPlan
from fdcn.runtime.tables import TOKENS_AT_ONCE
from fdcn.sizes import format_size


@dataclasses.dataclass(frozen=True)
class Step:
    """What one evaluation did. Arrays are float32 [B, C, H, W]."""

    predicted: np.ndarray
    """The final latent that this evaluation points to."""
    point: np.ndarray
    """The next point; the last step's is the result."""


class HostSampler:
    """A `base.Sampler` whose arrays are NumPy's. The backend stays its opener's; several threads may use one."""

    def __init__(self, backend: Backend, manifest: Manifest) -> None:
        self._backend, self._manifest = backend, manifest
        self._arena = Arena(backend)
        self._kept = 0  # bytes that the largest batch took, and that the backend keeps for the next one

    def together(self, batch: Batch) -> int:
        """How many images fill an evaluation, as far as memory goes."""
        if batch.on_device or batch.stream is not None or not isinstance(batch.noise, np.ndarray | None):
            raise FdcnError(say("sampling.host_only", backend=self._backend.name))
        need, free = self._need(batch), memory.available_bytes()
        if free is not None:
            free = max(free, self._kept)
        if free is not None and need > free:
            raise OutOfMemory(
                say(
                    "sampling.memory",
                    size=format_size(batch.size),
                    needed=memory.format_bytes(need),
                    free=memory.format_bytes(free),
                )
            )
        return max(1, min(TOKENS_AT_ONCE // self._tokens(batch), (free or need) // need))

    def sample(self, batch: Batch, done: Callable[[int], None], show: Show = unseen) -> Sampled:
        """Sample a batch; see `base.Sampler`."""
        latent = np.empty(0)
        # The result is looked at instead of warnings; and a run that is given up lets go of what it holds.
        with np.errstate(over="ignore", invalid="ignore"), contextlib.closing(self._trajectory(batch)) as steps:
            for r, step in enumerate(steps, start=1):
                latent = step.point
                if batch.preview_every and r % batch.preview_every == 0 and r < len(batch.plan.rows):
                    show(r, self._picture(step.predicted, batch))
                done(r)
        if not np.isfinite(latent).all():
            raise FdcnError(say("sampling.not_finite"))
        self._kept = max(self._kept, len(batch.labels) * self._need(batch))
        return Sampled(latent, self._picture(latent, batch))

    def warm_up(self, batch: Batch) -> None:
        """One evaluation and its picture: sessions open, and their memory has the size that they need."""
        with np.errstate(over="ignore", invalid="ignore"), contextlib.closing(self._trajectory(batch)) as steps:
            self._picture(next(steps).point, batch)

    def close(self) -> None:
        """Forget the modulations."""
        self._arena = Arena(self._backend)

    def _tokens(self, batch: Batch) -> int:
        """Of an evaluation of one image."""
        passes = max(len(row.passes) for row in batch.plan.rows)
        return math.prod(batch.latent[1:]) // self._manifest.model.patch**2 * passes

    def _need(self, batch: Batch) -> int:
        """About the bytes that sampling one image takes."""
        m, side = self._manifest, math.prod(batch.latent[1:])
        decoding = side * m.pixel_factor**2 * m.memory.pixel + side**2 * m.memory.latent_pair
        return max(self._tokens(batch) * m.memory.token, decoding)

    def _trajectory(self, batch: Batch) -> Generator[Step, None, None]:
        noise = initial_noise(batch.seeds, batch.latent) if batch.noise is None else batch.noise
        with contextlib.closing(self._arena.rows(batch.plan, batch.labels, batch.null)) as rows:
            yield from trajectory(self._backend, batch.plan, rows, noise, batch.seeds)

    def _picture(self, latent: np.ndarray, batch: Batch) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            picture = self._backend.decode(latent)
            if picture is None:
                picture = latent_preview(latent, self._manifest.pixel_factor)
            return to_pixels(picture, batch.size)


def sampler_of(backend: Backend, manifest: Manifest) -> Sampler:
    """A new sampler around a backend: its own, where it has one."""
    return backend.sampler() if isinstance(backend, HasSampler) else HostSampler(backend, manifest)


def initial_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> np.ndarray:
    """The latents that a trajectory starts from, one image a seed: float32 [B, *shape]."""
    return np.stack([normals(seed, 0, 0, shape) for seed in seeds])


def trajectory(
    backend: Backend,
    plan: SamplerPlan,
    rows: Iterable[tuple[Row, Modulations]],
    noise: np.ndarray,
    seeds: Sequence[int],
) -> Iterator[Step]:
    """Sample one batch from its initial latents [B, C, H, W]; gives each evaluation as it is done.

    `rows` are the plan's, with the modulations of each one's doubled batch.
    """
    state = State(plan, noise)
    for r, (row, (modulation, final)) in enumerate(rows):
        doubled = np.tile(state.point, (len(row.passes), 1, 1, 1))
        s_max = np.tile(row.s_max, (len(doubled), 1, 1))
        v = backend.denoise(row.passes[0].graph, doubled, modulation, final, s_max)
        evaluated = state.point

        def fresh(draw: int, step: int = r + 1) -> np.ndarray:
            return np.stack([normals(seed, step, draw, noise.shape[1:]) for seed in seeds])

        weighted = state.advance(row, np.split(v, len(row.passes)), fresh)
        yield Step(row.predicted[0] * evaluated + row.predicted[1] * weighted, state.point)
