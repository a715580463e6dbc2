"""A real server on loopback, and a bundle that opens fast."""

import asyncio
import contextlib
import shutil
import threading
from pathlib import Path

import pytest

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.serve.http.server import Server, address, bind, run
from fdcn.serve.local import LocalGenerator
from fdcn.serve.metrics import Metrics
from fdcn.serve.settings import Settings

ROOT = Path(__file__).parent.parent.parent
SOON = 60
"""Seconds after which a test is stuck."""


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory) -> Bundle:
    """One block of random weights, 8 px, gray, in pixel space; the classes Disc, Ring and Étoile. Read only."""
    folder = tmp_path_factory.mktemp("bundles") / "toy"
    return Bundle.open(shutil.copytree(ROOT / "runtime" / "cpp" / "tests" / "bundle", folder))


class Served:
    """A server that answers, in a thread of its own."""

    def __init__(self, settings: Settings):
        self.settings, self.metrics = settings, Metrics()
        self._begun, self._failure = threading.Event(), None
        self._bound = bind("127.0.0.1", 0)
        self.url = address(self._bound)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self):
        async def main():
            self.loop = asyncio.get_running_loop()
            self.generator = LocalGenerator(self.settings, self.metrics)
            self.server = Server(self.generator, self.settings, self.metrics, self._bound)
            await self.server.run(self._begun.set)

        try:
            run(main())
        except FdcnError as error:
            self._failure = error
        finally:
            self._begun.set()

    def begin(self):
        """Wait until it is ready."""
        self._thread.start()
        assert self._begun.wait(SOON)
        if self._failure:
            raise self._failure

    def call(self, coroutine):
        """The result of a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SOON)

    def end(self):
        """As SIGTERM does; waits for the end."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.server.end)
            self._thread.join(SOON)
            assert not self._thread.is_alive()
        self._bound.close()


@contextlib.contextmanager
def _serving(bundle, **settings):
    served = Served(Settings(bundle=bundle.path, **settings))
    try:
        served.begin()
        yield served
    finally:
        served.end()


@pytest.fixture(scope="session")
def serving():
    """`with serving(bundle, **settings) as served`: a real server on a free port; see `Served`."""
    return _serving
