"""One request sampled by all: by the reference, with the candidates asked the same at each step, and by each alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.images import Images
from fdcn.runtime.pipeline import Pipeline
from fdcn.sizes import format_size
from fdcn.verify.beside import Beside, Heard
from fdcn.verify.contenders import Contender
from fdcn.verify.limits import NETWORK, PICTURE, coarser
from fdcn.verify.metrics import Difference, differences, worst
from fdcn.verify.report import Album, Row

WHITE = 255.0
"""The signal that a picture's PSNR is over."""
LEVELS = ("psnr", "mean_error", "max_error")
"""What says something of pictures: they have no direction."""
Progress = Callable[[int, int], None]


class Sampled:
    """What all made of one request, which has arguments of `Pipeline.__call__`; candidates are named by their index.

    Raises FdcnError where the reference cannot run it, or a candidate does not take its size.
    """

    def __init__(
        self,
        bundle: Bundle,
        reference: Contender,
        candidates: Sequence[Contender],
        request: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self._reference, self._candidates = reference, candidates
        self._limits = [PICTURE[coarser(reference.side.precision, c.side.precision)] for c in candidates]
        self._heard = [
            Heard(
                candidate.backend,
                NETWORK[coarser(reference.side.precision, candidate.side.precision)],
                NETWORK[coarser(reference.rest, candidate.rest)],
            )
            for candidate in candidates
        ]
        parts = 1 + len(candidates)
        pipe = Pipeline(bundle, Beside(reference.backend, [c.backend for c in candidates], self._heard))
        self.images = pipe(**request, progress=part(progress, 0, parts))
        self.size = format_size(self.images.request.size)
        self._times = [float(row.t) for row in pipe.plan(self.images.request).rows]
        self._alone: list[Images | str] = []
        for i, candidate in enumerate(candidates):
            try:
                self._alone.append(
                    Pipeline(bundle, candidate.backend)(**request, progress=part(progress, i + 1, parts))
                )
            except FdcnError as error:  # it took the request above: so this is its result, numbers that are not finite
                self._alone.append(str(error))

    def conditioner(self, candidate: int) -> list[Row]:
        """A row for each output, over all times and classes."""
        return [row({"output": name}, found) for name, found in self._heard[candidate].conditioning.items()]

    def velocity(self, candidate: int) -> list[Row]:
        """A row for each step."""
        steps, calls = len(self._times), self._heard[candidate].velocity  # batch after batch
        return [
            row({"size": self.size, "step": i, "t": t}, [d for call in calls[i::steps] for d in call])
            for i, t in enumerate(self._times)
        ]

    def picture(self, candidate: int) -> list[Row]:
        """A row for each picture."""
        wanted, alone = self.images, self._alone[candidate]
        named = zip(wanted.names, wanted.request.seeds, strict=True)
        places = [{"size": self.size, "label": name, "seed": seed} for name, seed in named]
        if isinstance(alone, str):
            return [Row(at, {}, False, alone) for at in places]
        found = differences(wanted.pixels, alone.pixels, self._limits[candidate], WHITE)
        return [row(at, [difference], LEVELS) for at, difference in zip(places, found, strict=True)]

    def album(self) -> Album:
        """The pictures of all."""
        pictures = {self._reference.side.name: self.images.pixels}
        for candidate, alone in zip(self._candidates, self._alone, strict=True):
            if not isinstance(alone, str):
                pictures[candidate.side.name] = alone.pixels
        return Album(self.size, self.images.names, list(self.images.request.seeds), pictures)


def row(at: dict[str, Any], found: Sequence[Difference], names: Iterable[str] | None = None) -> Row:
    """The worst of some differences, and of their numbers those that are named."""
    values = worst(found)
    return Row(at, {name: values[name] for name in names or values}, all(difference.passed for difference in found))


def part(progress: Progress, index: int, parts: int) -> Progress:
    """Progress of one of several parts of about the same length, told in thousandths of the whole."""
    return lambda done, total: progress((1000 * index + 1000 * done // total) // parts, 1000)
