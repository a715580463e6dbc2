"""Pictures from a pipeline in this process."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Future, ThreadPoolExecutor

from fdcn.errors import FdcnError
from fdcn.runtime.images import Images
from fdcn.serve import admission, encode
from fdcn.serve.generator import Ask, Busy, Description, Event, NotReady, Preview, Refused, Result
from fdcn.serve.loaded import Loaded
from fdcn.serve.metrics import Metrics
from fdcn.serve.ongoing import Frame, Ongoing
from fdcn.serve.settings import Settings

log = logging.getLogger(__name__)
ENCODERS = 2
"""Threads that make files of pictures."""
LONGEST_WAIT = 60
"""Seconds that a client is told to stay away at most."""
NEWEST = 0.2
"""Of the measured pace, what the last request counts."""


class LocalGenerator:
    """A `Generator` around `Pipeline.submit`: a bounded queue before it, deadlines, and encoding after it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._loaded: Loaded | None = None
        self._closing = False
        self._reloading = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._idle = asyncio.Event()
        self._pace = 0.0
        """Seconds a picture takes, in company."""
        self._encoders = ThreadPoolExecutor(ENCODERS, "fdcn-encode")

    async def start(self) -> None:
        async with self._reloading:
            self._loaded = await asyncio.to_thread(Loaded, self._settings)
        log.info("loaded", extra={"fields": {"model": self.describe().model, "backend": self.describe().backend}})

    @property
    def ready(self) -> bool:
        return self._loaded is not None and not self._closing

    @property
    def waiting(self) -> int:
        return self._waiting

    def describe(self) -> Description:
        if self._loaded is None:
            raise NotReady
        return self._loaded.description

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        loaded = self._loaded
        if loaded is None or self._closing:
            raise NotReady
        ongoing = Ongoing(ask, loaded.observed)
        images, future = self._submit(loaded, ask, ongoing)
        self._waiting += images
        loaded.take()
        loop, held = asyncio.get_running_loop(), contextlib.ExitStack()
        held.callback(self._let_go, loaded, images)

        def give_up() -> None:
            ongoing.give_up()
            future.cancel()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(held.close))

        def expire() -> None:
            ongoing.expire()
            give_up()  # now: a listener that takes nothing would keep its place in the queue

        timer = loop.call_later(ask.seconds, expire)
        future.add_done_callback(lambda _: ongoing.wake())
        try:
            done = False
            while not done:
                await ongoing.woken.wait()
                done = future.done()  # asked first: what came before the end is still to be taken
                for news in ongoing.take():
                    ongoing.check()
                    yield await self._preview(news, ask) if isinstance(news, Frame) else news
                ongoing.check()
            yield await self._result(loaded, ask, ongoing, future.result())
        finally:
            timer.cancel()
            give_up()

    async def reload(self) -> Description:
        async with self._reloading:
            if not self.ready:
                raise FdcnError("the server is about to end, or has not begun; it takes over no bundle now")
            try:
                loaded = await asyncio.to_thread(Loaded, self._settings)
            except BaseException:
                self._metrics.reloaded(False)
                raise
            old, self._loaded = self._loaded, loaded
            assert old is not None
            self._retire(old)
            self._metrics.reloaded(True)
            return loaded.description

    async def close(self) -> None:
        self._closing = True
        while self._waiting:
            self._idle.clear()
            await self._idle.wait()
        async with self._reloading:
            if self._loaded is not None:
                self._retire(self._loaded)
                self._loaded = None
        if self._retiring:
            await asyncio.wait(self._retiring)
        await asyncio.to_thread(self._encoders.shutdown)

    def _submit(self, loaded: Loaded, ask: Ask, ongoing: Ongoing) -> tuple[int, "Future[Images]"]:
        """Queue a request: how many pictures it has, and what becomes of them. Raises as `generate` does."""
        try:
            images = len(admission.granted(loaded.manifest, ask, self._settings).labels)
            self._admit(images)
            options = admission.submitted(ask)
            return images, loaded.pipe.submit(**options, progress=ongoing.progress, preview=ongoing.preview)
        except Refused:
            raise
        except FdcnError as error:
            param = admission.at_fault(loaded.pipe, ask.options)
            raise (Refused(str(error), param) if param else error) from error

    def _admit(self, images: int) -> None:
        """Raise Busy where the queue has no room for so many pictures."""
        beyond = self._waiting + images - self._settings.max_queue
        if beyond > 0:
            raise Busy(min(LONGEST_WAIT, max(1, math.ceil(beyond * self._pace))))

    def _let_go(self, loaded: Loaded, images: int) -> None:
        """A request is done, or given up and no longer sampled."""
        loaded.leave()
        self._waiting -= images
        if not self._waiting:
            self._idle.set()

    def _retire(self, loaded: Loaded) -> None:
        task = asyncio.create_task(loaded.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _preview(self, frame: Frame, ask: Ask) -> Preview:
        def encoded() -> list[bytes]:
            return [encode.encode(pixels, ask.encoding) for pixels in frame.pixels]

        pictures = await asyncio.get_running_loop().run_in_executor(self._encoders, encoded)
        return Preview(frame.done, frame.total, frame.first, pictures)

    async def _result(self, loaded: Loaded, ask: Ask, ongoing: Ongoing, images: Images) -> Result:
        sampled = time.monotonic()
        sampling = sampled - ongoing.began
        pace = sampling / max(1, ongoing.batch)
        self._pace = pace if not self._pace else self._pace + NEWEST * (pace - self._pace)
        parameters = images.parameters()
        of_each = encode.of_each(parameters)

        def encoded() -> tuple[list[bytes], bytes | None]:
            pairs = zip(images.pixels, of_each, strict=True)
            pictures = [encode.encode(pixels, ask.encoding, own) for pixels, own in pairs]
            return pictures, encode.encode_array(images.latents) if ask.latents else None

        pictures, latents = await asyncio.get_running_loop().run_in_executor(self._encoders, encoded)
        self._metrics.encoded(time.monotonic() - sampled)
        result = Result(
            pictures=pictures,
            parameters=parameters,
            notes=loaded.pipe.notes(images.request),
            latents=latents,
            queued=ongoing.began - ongoing.arrived,
            sampling=sampling,
            batch=ongoing.batch,
        )
        self._metrics.made(result)
        return result
