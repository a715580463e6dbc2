"""One request sampled twice: by the reference, with the candidate asked the same at each step, and by the candidate."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.images import Images
from fdcn.runtime.pipeline import Pipeline
from fdcn.sizes import format_size
from fdcn.verify.both import Both
from fdcn.verify.contenders import Contender
from fdcn.verify.limits import NETWORK, PICTURE
from fdcn.verify.metrics import Difference, differences, worst
from fdcn.verify.report import Row

WHITE = 255.0
"""The signal that a picture's PSNR is over."""
LEVELS = ("psnr", "mean_error", "max_error")
"""What says something of pictures: they have no direction."""
Progress = Callable[[int, int], None]


class Sampled:
    """What both made of one request, which has arguments of `Pipeline.__call__`.

    Raises FdcnError where the reference cannot run it, or the candidate does not take its size.
    """

    def __init__(
        self,
        bundle: Bundle,
        reference: Contender,
        candidate: Contender,
        precision: str,
        request: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self._limits = PICTURE[precision]
        self._both = Both(reference.backend, candidate.backend, NETWORK[precision])
        pipe = Pipeline(bundle, self._both)
        self.images = pipe(**request, progress=part(progress, 0, 2))
        self._times = [float(row.t) for row in pipe.plan(self.images.request).rows]
        self._alone: Images | None = None
        self._failure = ""
        try:
            self._alone = Pipeline(bundle, candidate.backend)(**request, progress=part(progress, 1, 2))
        except FdcnError as error:  # it took the request above: so this is its result, numbers that are not finite
            self._failure = str(error)

    def conditioner(self) -> list[Row]:
        """A row for each output, over all times and classes."""
        return [row({"output": name}, found) for name, found in self._both.conditioning.items()]

    def velocity(self) -> list[Row]:
        """A row for each step."""
        steps, calls = len(self._times), self._both.velocity  # batch after batch
        size = format_size(self.images.request.size)
        return [
            row({"size": size, "step": i, "t": t}, [d for call in calls[i::steps] for d in call])
            for i, t in enumerate(self._times)
        ]

    def picture(self) -> list[Row]:
        """A row for each picture."""
        wanted = self.images
        size, names, seeds = format_size(wanted.request.size), wanted.names, wanted.request.seeds
        places = [{"size": size, "label": name, "seed": seed} for name, seed in zip(names, seeds, strict=True)]
        if self._alone is None:
            return [Row(at, {}, False, self._failure) for at in places]
        found = differences(wanted.pixels, self._alone.pixels, self._limits, WHITE)
        return [row(at, [difference], LEVELS) for at, difference in zip(places, found, strict=True)]


def row(at: dict[str, Any], found: Sequence[Difference], names: Iterable[str] | None = None) -> Row:
    """The worst of some differences, and of their numbers those that are named."""
    values = worst(found)
    return Row(at, {name: values[name] for name in names or values}, all(difference.passed for difference in found))


def part(progress: Progress, index: int, parts: int) -> Progress:
    """Progress of one of several parts of about the same length, told in thousandths of the whole."""
    return lambda done, total: progress((1000 * index + 1000 * done // total) // parts, 1000)
