"""Sample the trajectories, and measure what the network's products read along them."""

import contextlib
from collections.abc import Iterator

import numpy as np

from fdcn.bundle import Bundle, Manifest
from fdcn.calib.probe import Probe
from fdcn.calib.progress import Kept
from fdcn.calib.rows import Rows
from fdcn.calib.statistics import Statistics
from fdcn.calib.trajectories import Part, Settings, parts, plans
from fdcn.errors import FdcnError
from fdcn.runtime import memory
from fdcn.runtime.arena import Arena
from fdcn.runtime.plan import Row, SamplerPlan
from fdcn.runtime.request import label_names
from fdcn.runtime.sample import initial_noise, trajectory
from fdcn.sizes import format_size

STAGE = "sampling"


def measure(bundle: Bundle, settings: Settings, probe: Probe, kept: Kept) -> tuple[Statistics, Rows]:
    """Sample all pictures, from where an earlier run was interrupted; memory does not grow with their number.

    Raises FdcnError where a value that a product reads is not finite, by layer, time and picture; and where memory is
    too small for a size.
    """
    todo = parts(bundle.manifest, settings)
    tables = plans(bundle, probe, todo)
    measuring = _Measuring(bundle.manifest, settings, probe, np.unique([row.t for row in tables[0].rows]))
    done = kept.restore(measuring.statistics, measuring.rows)
    evaluations = [len(part.pictures) * len(plan.rows) for part, plan in zip(todo, tables, strict=True)]
    total = sum(evaluations)
    for number in range(done, len(todo)):
        before, part = sum(evaluations[:number]), todo[number]
        for r, _ in enumerate(measuring.add(part, tables[number])):
            kept.at(STAGE, before + r * len(part.pictures), total)
        last = number + 1 == len(todo)
        kept.checkpoint(number + 1, measuring.statistics, measuring.rows, now=last)
    kept.at(STAGE, total, total)
    return measuring.statistics, measuring.rows


class _Measuring:
    """What was measured so far."""

    def __init__(self, manifest: Manifest, settings: Settings, probe: Probe, times: np.ndarray) -> None:
        self._manifest, self._probe, self._arena = manifest, probe, Arena(probe)
        self._channels = {products[0]: k for products, k in probe.layers.items()}
        self.statistics = Statistics.empty(times, probe.layers, settings.texts())
        self.rows = Rows(self._channels, len(times), settings.samples, settings.seed)

    def add(self, part: Part, plan: SamplerPlan) -> Iterator[None]:
        """Sample a part and add what is read; stops before each evaluation."""
        self._check_memory(part, plan)
        wanted, sampled = part.request, set[int]()
        noise = initial_noise(wanted.seeds, (self._manifest.model.channels, *wanted.latent))
        with (
            np.errstate(over="ignore", invalid="ignore"),  # what is not finite is looked for, and named
            contextlib.closing(self._arena.rows(plan, wanted.labels, self._manifest.model.classes)) as conditioned,
        ):
            steps = trajectory(self._probe, plan, conditioned, noise, wanted.seeds)
            for row in plan.rows:
                yield
                point = next(steps).point
                time = int(np.searchsorted(self.statistics.times, row.t))
                self._add_values(part, row, time, sample=time not in sampled)
                sampled.add(time)  # solvers may come to a time twice
                if not np.isfinite(point).all():
                    raise _not_finite(self._manifest, part, "the network's output", point, float(row.t))

    def _add_values(self, part: Part, row: Row, time: int, sample: bool) -> None:
        for measured in self.statistics.activations:
            x = self._probe.values[measured.name]
            if not measured.add(time, x):
                raise _not_finite(self._manifest, part, f"what {measured.name} reads", x, float(row.t))
            if sample:
                # Pass by pass, and in each picture by picture.
                by_picture = x.reshape(-1, len(part.pictures), x[0].size // x.shape[-1], x.shape[-1])
                for i, picture in enumerate(part.pictures):
                    self.rows.take(measured.name, time, picture, by_picture[:, i].reshape(-1, x.shape[-1]))

    def _check_memory(self, part: Part, plan: SamplerPlan) -> None:
        """Raise FdcnError where an evaluation needs more memory than is free."""
        model, (height, width) = self._manifest.model, part.request.latent
        together = len(part.pictures) * max(len(row.passes) for row in plan.rows)
        token = self._manifest.memory.token + 4 * sum(self._channels.values())
        need, free = height * width // model.patch**2 * together * token, memory.available_bytes()
        if free is not None and need > free:
            raise FdcnError(
                f"measuring {format_size(part.request.size)} needs about {memory.format_bytes(need)} of memory, "
                f"{memory.format_bytes(free)} are free; leave that size out: --size, repeatable, names those to measure"
            )


def _not_finite(manifest: Manifest, part: Part, what: str, x: np.ndarray, t: float) -> FdcnError:
    """The error that says where; x is [rows, ...], and pictures take turns in its rows."""
    first = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(1))[0])
    kind = "NaN" if np.isnan(x[first]).any() else "infinity"
    i = first % len(part.pictures)
    (label,) = label_names(manifest, [part.request.labels[i]])
    return FdcnError(
        f"{kind} in {what} at t = {t:.4g}, in picture {part.pictures[i]} ({label}, {format_size(part.request.size)}); "
        "lower --guidance or take more --steps, and where fdcn run fails too, export a sound checkpoint"
    )
