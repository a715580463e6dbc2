"""One command at a time changes a bundle."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fdcn import cache
from fdcn.errors import FdcnError


@contextlib.contextmanager
def changing(bundle: Path) -> Iterator[None]:
    """Hold a bundle's lock, which whoever reads its manifest to write it anew takes; waits for it.

    It lies in the user's cache, so that a bundle stays as it was distributed. Where there can be no cache there is no
    lock: a manifest is replaced whole all the same, and of two commands at once the last one counts.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(FdcnError):
            held.enter_context(cache.locked(cache.location("bundle", [str(bundle.resolve())])))
        yield
