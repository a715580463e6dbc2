"""Several backends as one: the reference answers, and what candidates say to the same inputs is compared with it."""

from collections.abc import Sequence

import numpy as np

from fdcn.bundle import StepGroup
from fdcn.errors import FdcnError
from fdcn.runtime.backends.base import Backend, HasStepGroups
from fdcn.runtime.plan import graph_at
from fdcn.verify.limits import Limits
from fdcn.verify.metrics import Difference, differences


class Heard:
    """What one candidate said: `velocity` has the differences of each call, `conditioning` those of each output."""

    def __init__(self, backend: Backend, network: Limits, conditioner: Limits) -> None:
        self._backend, self._network, self._conditioner = backend, network, conditioner
        self.velocity: list[list[Difference]] = []
        self.conditioning: dict[str, list[Difference]] = {"modulation": [], "final": []}

    def condition(self, wanted: tuple[np.ndarray, np.ndarray], t: np.ndarray, label: np.ndarray) -> None:
        """Ask it what the reference answered with `wanted`."""
        got = self._backend.condition(t, label)
        for (name, found), a, b in zip(self.conditioning.items(), wanted, got, strict=True):
            found += self._compare(f"conditioner's {name}", a, b, self._conditioner)

    def denoise(self, wanted: np.ndarray, graph: str, *inputs: np.ndarray) -> None:
        """Ask one of its graphs what the reference answered with `wanted`."""
        got = self._backend.denoise(graph, *inputs)
        self.velocity.append(self._compare(graph, wanted, got, self._network))

    def _compare(self, graph: str, wanted: np.ndarray, got: np.ndarray, limits: Limits) -> list[Difference]:
        if wanted.shape != got.shape:
            raise FdcnError(
                f"{self._backend.name}: its {graph} gives {list(got.shape)}, the reference {list(wanted.shape)}; "
                "it is not of these weights: build it again"
            )
        return differences(wanted, got, limits)


class Beside:
    """A backend for the sampler, whose steps are in groups wherever one of the backends has groups."""

    def __init__(self, reference: Backend, candidates: Sequence[Backend], heard: Sequence[Heard]) -> None:
        self._reference, self._heard = reference, heard
        backends = [reference, *candidates]
        self.name = ", and ".join(backend.name for backend in backends)
        self.conditioning_bytes = reference.conditioning_bytes
        groups = [backend.step_groups if isinstance(backend, HasStepGroups) else () for backend in backends]
        ends = sorted({group.until for each in groups for group in each})
        self.step_groups = [StepGroup(until, f"denoiser until {until:g}") for until in ends]
        self._graphs = {group.graph: [graph_at(group.until, each) for each in groups] for group in self.step_groups}

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = self._reference.condition(t, label)
        for heard in self._heard:
            heard.condition(wanted, t, label)
        return wanted

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        inputs = (latent, modulation, final, s_max)
        own, *others = self._graphs.get(graph, [graph] * (1 + len(self._heard)))
        wanted = self._reference.denoise(own, *inputs)
        for heard, other in zip(self._heard, others, strict=True):
            heard.denoise(wanted, other, *inputs)
        return wanted

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        return self._reference.decode(latent)
