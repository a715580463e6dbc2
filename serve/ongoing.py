"""One request on its way between the event loop and the thread that samples it."""

import asyncio
import threading
import time

import numpy as np

from fdcn.serve.generator import Ask, Progress, TooLate
from fdcn.serve.observed import Observed


class GivenUp(Exception):
    """Its client has left, or it is too late: ends its sampling."""


class Frame:
    """A preview that is not encoded yet: `pixels` uint8 [B, H, W, C] of the pictures from `first` on."""

    def __init__(self, done: int, first: int, pixels: np.ndarray) -> None:
        self.done, self.first, self.pixels = done, first, pixels
        self.total = 0


class Ongoing:
    """What happens to a request; `woken` is set on the loop whenever there is something to see.

    Of what nobody has taken yet only the newest is kept: a slow listener costs no memory.
    """

    def __init__(self, ask: Ask, observed: Observed) -> None:
        self.woken = asyncio.Event()
        self.arrived = time.monotonic()
        self.began = self.arrived
        """When its first evaluation began."""
        self.batch = 0
        """Pictures that it was sampled with, its own included."""
        self._watched, self._observed = ask.watched, observed
        self._loop = asyncio.get_running_loop()
        self._given_up = self._late = False
        self._shown: list[Frame] = []  # those of the evaluation that is about to be told
        self._taking = threading.Lock()
        self._frames: dict[int, Frame] = {}
        self._progress: Progress | None = None

    # On the event loop.

    def expire(self) -> None:
        """Its deadline has passed."""
        self._late = True
        self.woken.set()

    def check(self) -> None:
        """Raise TooLate where its deadline has passed."""
        if self._late:
            raise TooLate

    def give_up(self) -> None:
        """Let its sampling end at the next evaluation."""
        self._given_up = True

    def take(self) -> list[Frame | Progress]:
        """What is new, the oldest first."""
        self.woken.clear()
        with self._taking:
            frames, self._frames = self._frames, {}
            progress, self._progress = self._progress, None
        return [*(frames[first] for first in sorted(frames)), *([progress] if progress else [])]

    # In the sampling thread.

    def wake(self) -> None:
        """There is something to see."""
        self._loop.call_soon_threadsafe(self.woken.set)

    def preview(self, done: int, first: int, pixels: np.ndarray) -> None:
        """For `Pipeline.submit`."""
        self._shown.append(Frame(done, first, pixels))

    def progress(self, done: int, total: int) -> None:
        """For `Pipeline.submit`; ends a request that nobody waits for any more."""
        if self._given_up:
            raise GivenUp
        if not self.batch:
            self.began, self.batch = self._observed.began, self._observed.batch
        if self._watched:
            with self._taking:
                for frame in self._shown:
                    frame.total = total
                    self._frames[frame.first] = frame
                self._progress = Progress(done, total)
            self._shown = []
            self.wake()
