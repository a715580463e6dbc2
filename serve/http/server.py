"""The HTTP server's process: its socket, its signals, and its end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import types
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvicorn

from fdcn.errors import FdcnError
from fdcn.serve.generator import Generator
from fdcn.serve.http.app import create_app
from fdcn.serve.http.auth import Keys
from fdcn.serve.http.protocol import protocol_for
from fdcn.serve.local import LocalGenerator
from fdcn.serve.metrics import Metrics
from fdcn.serve.settings import Settings

log = logging.getLogger(__name__)
BACKLOG = 2048
ENDS = (signal.SIGINT, signal.SIGTERM)
IDLE = 75
"""Seconds after which a connection without requests is closed: longer than the usual proxies keep theirs, which would
otherwise send a request just then."""
LAST_BYTES = 5
"""Seconds that connections have after the last picture."""


class _Uvicorn(uvicorn.Server):
    """A server whose signals are somebody else's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """A generator behind the HTTP application, on a socket that `bind` gave."""

    def __init__(self, generator: Generator, settings: Settings, metrics: Metrics, bound: socket.socket) -> None:
        self._generator, self._settings, self._bound = generator, settings, bound
        app = create_app(generator, settings, metrics)
        self._keys: Keys | None = app.state.keys
        config = uvicorn.Config(
            app,
            http=protocol_for(settings),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=LAST_BYTES,
        )
        self._uvicorn = _Uvicorn(config)
        self._ending = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Answer requests until `end`; `ready` is called once the generator has begun. Raises what its start does."""
        answering = asyncio.create_task(self._uvicorn.serve([self._bound]))
        try:
            await self._generator.start()
            if not self._ending.is_set():
                log.info("ready", extra={"fields": {"address": address(self._bound)}})
                ready()
            ending = asyncio.create_task(self._ending.wait())
            await asyncio.wait({ending, answering}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            closing = asyncio.create_task(self._generator.close())
            log.info("ending", extra={"fields": {"waiting": self._generator.waiting}})
            if not (await asyncio.wait({closing}, timeout=self._settings.drain))[0]:
                log.warning("requests are given up", extra={"fields": {"waiting": self._generator.waiting}})
                self._uvicorn.config.timeout_graceful_shutdown = 0
        finally:
            self._uvicorn.should_exit = True
            await answering
            await self._generator.close()
        log.info("ended")

    def end(self) -> None:
        """Finish what was accepted, and stop."""
        self._ending.set()

    async def reload(self) -> None:
        """Take over the bundle and the keys that now lie where those that are served did; a failure is logged."""
        try:
            if self._keys is not None:
                self._keys.read()
        except FdcnError as error:
            log.error("the keys were not taken over; the old ones hold on", extra={"fields": {"reason": str(error)}})
        try:
            taken = await self._generator.reload()
        except FdcnError as error:
            fields = {"reason": str(error)}
            log.error("the bundle was not taken over; the old one is served on", extra={"fields": fields})
        except Exception:
            log.exception("the bundle was not taken over; the old one is served on")
        else:
            log.info("took over a bundle", extra={"fields": {"model": taken.model, "reads": taken.reads}})


def serve(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve a bundle from this process until a signal ends it; `announce` is told what a person reads.

    Raises FdcnError where the address or the bundle cannot be had.
    """
    metrics = Metrics()
    generator = LocalGenerator(settings, metrics)
    with contextlib.closing(bind(host, port)) as bound:
        server = Server(generator, settings, metrics, bound)

        def ready() -> None:
            described = generator.describe()
            announce(described.backend)
            announce(f"serving {described.model} on {address(bound)}")

        run(_signalled(server, ready))


async def _signalled(server: Server, ready: Callable[[], None]) -> None:
    """Run a server that signals end and reload; a second signal to end is not waited for."""
    loop, hung_up = asyncio.get_running_loop(), asyncio.Event()

    async def reload() -> None:
        while True:
            await hung_up.wait()
            hung_up.clear()  # signals from now on may be about a newer bundle: all of them are one more reload
            await server.reload()

    def on_end(number: int, frame: types.FrameType | None) -> None:
        for each in ENDS:
            signal.signal(each, signal.SIG_DFL)
        loop.call_soon_threadsafe(server.end)

    def on_hangup(number: int, frame: types.FrameType | None) -> None:
        loop.call_soon_threadsafe(hung_up.set)

    for number in ENDS:
        signal.signal(number, on_end)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, on_hangup)
    reloading = asyncio.create_task(reload())
    try:
        await server.run(ready)
    finally:
        reloading.cancel()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises FdcnError where there is none to be had."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # Windows would share the port with another server
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:  # a host's name may be none at all
        reason = getattr(error, "strerror", None) or error
        raise FdcnError(f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port") from error
    return bound


def address(bound: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run the event loop, on uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
