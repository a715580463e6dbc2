"""Which of the waiting requests are sampled together."""

from collections.abc import Hashable, Sequence
from typing import Protocol


class Waiting(Protocol):
    """What the choice is made by."""

    @property
    def kind(self) -> Hashable | None:
        """Requests of equal kinds may share a batch; one of kind None shares with none."""
        ...

    @property
    def images(self) -> int:
        """How many pictures it asks for, from 1."""
        ...


def choose(waiting: Sequence[Waiting], together: int) -> list[int]:
    """The positions of the requests to sample next, in order: whole ones, `together` images at most.

    The oldest is always among them, so that none waits for ever; it is alone where it has more images than that. Each
    later one of its kind comes along while it fits.
    """
    oldest = waiting[0]
    chosen, images = [0], oldest.images
    if oldest.kind is not None:
        for i, request in enumerate(waiting[1:], start=1):
            if request.kind == oldest.kind and images + request.images <= together:
                chosen.append(i)
                images += request.images
    return chosen
