"""The sweep: how much the network's output suffers when one product alone is quantised, and when several are."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fdcn.calib.evaluations import Evaluation, noise
from fdcn.calib.switches import Setting, Switches

Settings = Mapping[str, Setting]
"""How products are quantised, by name."""


class Progress(Protocol):
    """Where the sweep's rows are kept, and who is told how far it is."""

    rows: dict[str, Any]
    """JSON, of an earlier run with the same settings where it was interrupted; `save` after each change."""

    def save(self) -> None:
        """Write `rows`, whole or not at all."""
        ...

    def at(self, what: str, done: int, total: int) -> None:
        """Hear that `done` of `total` parts of a stage are done."""
        ...


class Sweep:
    """Some evaluations of a network: what they give in float32, and how far from it they are with products quantised.

    A noise is `evaluations.noise`, averaged over the evaluations. What products do alone adds up about to what they do
    together: their errors are small, and have nothing to do with each other.
    """

    def __init__(self, switches: Switches, evaluations: Sequence[Evaluation]) -> None:
        self._switches, self.evaluations, self.products = switches, evaluations, switches.products
        self._references = [switches.run(evaluation.inputs, {}) for evaluation in evaluations]

    def noises(self, settings: Settings, times: slice = slice(None)) -> list[float]:
        """The noise of each evaluation, or of some of them, with all of `settings` at once."""
        feeds = self._switches.feeds(settings)
        pairs = zip(self.evaluations[times], self._references[times], strict=True)
        return [noise(reference, self._switches.run(evaluation.inputs, feeds)) for evaluation, reference in pairs]

    def noise(self, groups: Sequence[Settings], group_of: Sequence[int]) -> float:
        """The noise where evaluation i is quantised as `groups[group_of[i]]`."""
        found = []
        for index, settings in enumerate(groups):
            mine = [i for i, group in enumerate(group_of) if group == index]
            if mine:  # ascending times make groups contiguous
                found += self.noises(settings, slice(mine[0], mine[-1] + 1))
        return float(np.mean(found))

    def alone(
        self, groups: Sequence[Settings], group_of: Sequence[int], precision: str, progress: Progress
    ) -> dict[str, float]:
        """The noise of each product when it alone is quantised; goes on from the rows of an interrupted sweep."""
        names = list(groups[0])
        stage = f"sensitivity, {precision}"
        for done, name in enumerate(names):
            progress.at(stage, done, len(names))
            key = f"{precision}:{name}"
            if key not in progress.rows:
                progress.rows[key] = self.noise([{name: settings[name]} for settings in groups], group_of)
                progress.save()
        progress.at(stage, len(names), len(names))
        return {name: float(progress.rows[f"{precision}:{name}"]) for name in names}
