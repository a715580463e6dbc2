"""The shapes that are measured, and the inputs of one evaluation of the network at each."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime import memory, request
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.plan import Row
from fdcn.runtime.request import Request
from fdcn.runtime.sample import initial_noise
from fdcn.sizes import format_size

BATCHES = (1, 4)
"""Pictures at once, unless others are asked for."""


@dataclasses.dataclass(frozen=True)
class Case:
    """So many pictures of one size, of different classes and seeds."""

    request: Request

    @property
    def batch(self) -> int:
        return len(self.request.labels)

    def __str__(self) -> str:
        return f"{format_size(self.request.size)}x{self.batch}"

    def arguments(self, images: slice = slice(None)) -> dict[str, Any]:
        """Of `Pipeline.__call__`, for all the pictures or some."""
        r = self.request
        return {
            "labels": r.labels[images],
            "seeds": r.seeds[images],
            "size": r.size,
            "solver": r.solver,
            "steps": r.steps,
            "guidance": r.guidance.scale,
        }


def make(
    bundle: Bundle, sizes: Sequence[tuple[int, int]], batches: Sequence[int], solver: str | None, steps: int | None
) -> list[Case]:
    """A case for each size and batch; by default the training size, and `BATCHES`.

    Raises FdcnError where the bundle does not take one.
    """
    manifest = bundle.manifest

    def case(size: tuple[int, int] | None, batch: int) -> Case:
        labels = [i % manifest.model.classes for i in range(batch)]
        return Case(request.resolve(manifest, labels=labels, size=size, solver=solver, steps=steps))

    chosen = dict.fromkeys(sizes) or [None]
    return [case(size, batch) for size in chosen for batch in dict.fromkeys(batches or BATCHES)]


def feeds(bundle: Bundle, backend: Backend, case: Case, row: Row) -> dict[str, np.ndarray]:
    """The denoiser's inputs in an evaluation: every picture of a case, in each pass of a plan's row.

    The latents are the pictures' initial noise: a plan's first row gets just these inputs when the pictures are made.
    """
    model, r = bundle.manifest.model, case.request
    labels = [label if run.conditional else model.classes for run in row.passes for label in r.labels]
    modulation, final = backend.condition(np.array([row.t], np.float32), np.array(labels, np.int64))
    noise = initial_noise(r.seeds, (model.channels, *r.latent))
    return {
        "latent": np.tile(noise, (len(row.passes), 1, 1, 1)),
        "modulation": modulation,
        "final": final,
        "s_max": np.tile(row.s_max, (len(labels), 1, 1)),
    }


def check_memory(bundle: Bundle, case: Case, rows: int) -> None:
    """Raise FdcnError where the host has too little memory for one evaluation of so many rows."""
    m = bundle.manifest
    need = rows * tokens(bundle, case) * m.memory.token
    free = memory.available_bytes()
    if free is not None and need > free:
        raise FdcnError(
            f"{case} needs about {memory.format_bytes(need)} of memory, {memory.format_bytes(free)} are free; "
            "choose a smaller --size or --batch"
        )


def tokens(bundle: Bundle, case: Case) -> int:
    """Of one row."""
    height, width = case.request.latent
    return height * width // bundle.manifest.model.patch**2
