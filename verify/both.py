"""Two backends as one: the first answers, and what the second says to the same inputs is compared with it."""

import numpy as np

from fdcn.errors import FdcnError
from fdcn.runtime.backends.base import Backend
from fdcn.verify.limits import Limits
from fdcn.verify.metrics import Difference, differences


class Both:
    """A backend for the sampler. `velocity` has the differences of each call, `conditioning` those of each output."""

    def __init__(self, reference: Backend, candidate: Backend, limits: Limits) -> None:
        self._reference, self._candidate, self._limits = reference, candidate, limits
        self.name = f"{reference.name}, and {candidate.name}"
        self.conditioning_bytes = reference.conditioning_bytes
        self.velocity: list[list[Difference]] = []
        self.conditioning: dict[str, list[Difference]] = {"modulation": [], "final": []}

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted, got = self._reference.condition(t, label), self._candidate.condition(t, label)
        for (name, found), *pair in zip(self.conditioning.items(), wanted, got, strict=True):
            found += self._compare(f"conditioner's {name}", *pair)
        return wanted

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        inputs = (graph, latent, modulation, final, s_max)
        wanted, got = self._reference.denoise(*inputs), self._candidate.denoise(*inputs)
        self.velocity.append(self._compare(graph, wanted, got))
        return wanted

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        return self._reference.decode(latent)

    def _compare(self, graph: str, wanted: np.ndarray, got: np.ndarray) -> list[Difference]:
        if wanted.shape != got.shape:
            raise FdcnError(
                f"{self._candidate.name}: its {graph} gives {list(got.shape)}, the reference {list(wanted.shape)}; "
                "it is not of these weights: build it again"
            )
        return differences(wanted, got, self._limits)
