"""Modulations ahead of the loop: each distinct (time, class) once, in chunks of steps under a byte budget."""

from collections.abc import Iterator, Sequence

import numpy as np

from fdcn.runtime.backends.base import Backend
from fdcn.runtime.plan import Row, SamplerPlan

BUDGET = 64 << 20
"""Bytes of modulations held at a time."""

Modulations = tuple[np.ndarray, np.ndarray]
"""modulation [B, blocks, 6, h] and final [B, 2, h]."""


def conditioned_rows(
    backend: Backend, plan: SamplerPlan, labels: Sequence[int], null: int
) -> Iterator[tuple[Row, Modulations]]:
    """Each row of a plan with the modulations of its doubled batch: the passes in order, each with every image.

    `labels` has an entry an image; `null` is the class of unconditional passes.
    """
    distinct = sorted({*labels, null})
    position = {label: i for i, label in enumerate(distinct)}
    times_at_once = max(1, BUDGET // (backend.conditioning_bytes * len(distinct)))
    known: dict[np.float32, Modulations] = {}
    for r, row in enumerate(plan.rows):
        if row.t not in known:
            ahead = list(dict.fromkeys(later.t for later in plan.rows[r:]))[:times_at_once]
            outputs = backend.condition(np.array(ahead, np.float32), np.array(distinct, np.int64))
            known = {t: _of_time(outputs, s, len(distinct)) for s, t in enumerate(ahead)}
        wanted = [position[label if run.conditional else null] for run in row.passes for label in labels]
        modulation, final = known[row.t]
        yield row, (modulation[wanted], final[wanted])


def _of_time(outputs: Modulations, s: int, labels: int) -> Modulations:
    rows = slice(s * labels, (s + 1) * labels)
    return outputs[0][rows], outputs[1][rows]
