"""Closing something that several threads are using."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator

from fdcn.errors import FdcnError
from fdcn.messages import say


class Gate:
    """Lets calls in until it is closed; then `closing` is called, once, when the last of them has left."""

    def __init__(self, what: str, closing: Callable[[], None]) -> None:
        """`what` was closed, in the error."""
        self._what, self._closing = what, closing
        self._inside: collections.Counter[int] = collections.Counter()  # calls by thread
        self._changed = threading.Condition()
        self._open, self._done = True, False

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Keep it open for the time of a block. Raises FdcnError where it was closed."""
        thread = threading.get_ident()
        with self._changed:
            if not self._open:
                raise self.error()
            self._inside[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[thread] -= 1
                self._inside += collections.Counter()  # without those at zero
                self._changed.notify_all()
                self._close_if_empty()

    def close(self) -> None:
        """Let nobody in any more, and wait for those inside; a thread that is inside itself does not wait."""
        with self._changed:
            self._open = False
            if threading.get_ident() not in self._inside:
                self._changed.wait_for(lambda: not self._inside)
            self._close_if_empty()

    def error(self) -> FdcnError:
        """What callers get who come too late."""
        return FdcnError(say("sampling.closed", what=self._what))

    def _close_if_empty(self) -> None:
        if not self._open and not self._inside and not self._done:
            self._done = True
            self._closing()
