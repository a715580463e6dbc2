"""A bundle that is open and warm, with its requests counted, so that another can take its place."""

import asyncio
import contextlib
import ctypes
import gc
import hashlib
from collections.abc import Sequence

from fdcn.bundle import Bundle, Manifest
from fdcn.runtime.backends import open_backend
from fdcn.runtime.pipeline import Pipeline
from fdcn.serve.generator import Description
from fdcn.serve.observed import Observed
from fdcn.serve.settings import Settings


class Loaded:
    """What makes pictures, until `retire`; its methods are called on the event loop."""

    def __init__(self, settings: Settings) -> None:
        """Open the bundle and warm it up, which takes seconds: in another thread. Raises FdcnError."""
        with contextlib.ExitStack() as closing:
            bundle = Bundle.open(settings.bundle)
            backend = open_backend(bundle, settings.backend, settings.allow_bundled_code, settings.device)
            closing.callback(backend.close)
            self.observed = Observed(backend, bundle.manifest)
            self.pipe = Pipeline(bundle, self.observed, max_batch=settings.max_batch, max_delay=settings.max_delay)
            closing.callback(self.pipe.close)
            channels = warm_up(self.pipe, settings.warmup, settings.max_batch)
            self.description = _describe(bundle, backend.name, channels, settings)
            self._closing = closing.pop_all()
        self._users = 0
        self._unused = asyncio.Event()

    @property
    def manifest(self) -> Manifest:
        """The bundle's, as it was opened."""
        return self.pipe.bundle.manifest

    def take(self) -> None:
        """Count a request."""
        self._users += 1

    def leave(self) -> None:
        """A request is done."""
        self._users -= 1
        if not self._users:
            self._unused.set()

    async def retire(self) -> None:
        """Give back memory once the last request is done; nobody takes it any more."""
        while self._users:
            self._unused.clear()
            await self._unused.wait()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._closing.close()
        _trim()


def _trim() -> None:
    """Give freed memory back to the system; glibc keeps it, and more with every bundle that is taken over."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library has no need, or no way
        ctypes.CDLL(None).malloc_trim(0)


def _describe(bundle: Bundle, backend: str, channels: int, settings: Settings) -> Description:
    m = bundle.manifest
    return Description(
        model=settings.bundle.resolve().name,
        backend=backend,
        classes=m.model.classes,
        class_names=m.class_names,
        channels=channels,
        train_size=(m.train_size[0], m.train_size[1]),
        fixed_size=(m.fixed_size[0], m.fixed_size[1]) if m.fixed_size else None,
        solver=m.sampling.solver,
        steps=m.sampling.steps,
        guidance=m.sampling.guidance,
        reads=hashlib.sha256(m.to_json().encode()).hexdigest()[:16],
        max_size=settings.max_size,
        max_images=settings.max_images,
    )


def warm_up(pipe: Pipeline, shapes: Sequence[tuple[int, int, int]], most: int) -> int:
    """Load every graph and grow the memory, so that nothing of the bundle is read while it is served.

    `shapes` are (width, height, images); without any it is the usual size, `most` at a time. Gives the channels of a
    picture.
    """
    m = pipe.bundle.manifest
    width, height = m.fixed_size or m.train_size
    shapes = shapes or ((width, height, most),)
    pipe.warm_up(shapes)
    # A whole picture: later steps may have graphs of their own.
    return int(pipe([0], size=shapes[0][:2]).pixels.shape[3])
