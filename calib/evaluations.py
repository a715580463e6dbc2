"""Some evaluations of the network on real trajectories, and how far its output is from them with other weights."""

import dataclasses

import numpy as np

from fdcn.bundle import Bundle
from fdcn.calib.trajectories import Settings, default_sizes, parts, plans
from fdcn.runtime.arena import Arena
from fdcn.runtime.backends import onnxrt
from fdcn.runtime.backends.base import Backend
from fdcn.runtime.sample import initial_noise, trajectory

PICTURES = 4
TIMES = 5
"""How many evaluations there are: the first of a trajectory, the last, and between them at even distances."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the network was given at a time: some pictures, all their passes."""

    t: float
    inputs: dict[str, np.ndarray]
    """By the names of the denoiser's inputs, float32."""


def record(bundle: Bundle, solver: str, steps: int, guidance: float, seed: int) -> list[Evaluation]:
    """Sample some pictures of the training size in float32, and keep what the network is given at some times.

    Pictures take turns: a batch of them at one time, the next at the next. Raises FdcnError where it cannot run.
    """
    manifest = bundle.manifest
    settings = Settings(PICTURES, default_sizes(manifest)[:1], solver, steps, guidance, seed)
    # An engine computes the same but rounds differently: what is found must not depend on what was built.
    exported = onnxrt.OnnxRuntime(bundle.with_engines())
    recorder, todo = _Recorder(exported), parts(manifest, settings)
    arena, found = Arena(exported), []
    for number, (part, plan) in enumerate(zip(todo, plans(bundle, exported, todo), strict=True)):
        wanted = part.request
        noise = initial_noise(wanted.seeds, (manifest.model.channels, *wanted.latent))
        rows = arena.rows(plan, wanted.labels, manifest.model.classes)
        chosen = np.unique(np.linspace(0, len(plan.rows) - 1, TIMES).round().astype(int))[number :: len(todo)]
        done = trajectory(recorder, plan, rows, noise, wanted.seeds)
        for r, (row, _) in enumerate(zip(plan.rows, done, strict=True)):
            if r in chosen:
                found.append(Evaluation(float(row.t), recorder.inputs))
    exported.close()
    return sorted(found, key=lambda evaluation: evaluation.t)


def noise(reference: np.ndarray, output: np.ndarray) -> float:
    """The mean squared error of outputs [B, ...] over their references' squared peaks, averaged over the batch.

    As decibels, `psnr`: so it is the PSNR of `fdcn verify`, of the mean and not of the worst.
    """
    axes = tuple(range(1, reference.ndim))
    peaks = np.abs(reference).max(axes)
    errors = np.square(reference - output, dtype=np.float64).mean(axes)
    return float(np.mean(errors / np.maximum(peaks, np.finfo(np.float32).tiny) ** 2))


def psnr(noises: float) -> float:
    """The peak signal-to-noise ratio of a mean `noise`, in dB."""
    return float("inf") if noises == 0 else -10 * float(np.log10(noises))


class _Recorder:
    """A backend that keeps what its last evaluation was given."""

    def __init__(self, inner: Backend) -> None:
        self._inner, self.name = inner, inner.name
        self.conditioning_bytes = inner.conditioning_bytes
        self.inputs: dict[str, np.ndarray] = {}

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._inner.condition(t, label)

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        given = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        self.inputs = {name: array.copy() for name, array in given.items()}
        return self._inner.denoise(graph, latent, modulation, final, s_max)

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        return None
