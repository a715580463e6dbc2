"""What of a batch decides which work is done on the device; all else is data there."""

import dataclasses

from fdcn.runtime.backends.base import Batch


@dataclasses.dataclass(frozen=True)
class Shape:
    """Batches of one shape run the same recorded work: their guidance, seeds, labels and coefficients may differ."""

    images: int
    latent: tuple[int, int, int]
    """C, h, w."""
    size: tuple[int, int]
    """Pixels, (width, height)."""
    rows: tuple[tuple[str, int], ...]
    """Of each row of the plan the graph, and how many passes."""
    history: int
    guided: int | None
    """How many channels are guided, None for all."""
    drawn: bool
    """Whether the initial latent is drawn from the seeds."""

    @classmethod
    def of(cls, batch: Batch) -> "Shape":
        """The shape of a batch."""
        plan = batch.plan
        rows = tuple((row.passes[0].graph, len(row.passes)) for row in plan.rows)
        guided, drawn = plan.guided_channels, batch.noise is None
        return cls(len(batch.labels), batch.latent, batch.size, rows, plan.history, guided, drawn)

    @property
    def passes(self) -> int:
        """The most passes of a row."""
        return max(passes for _, passes in self.rows)
