"""Results for a client that may leave before they are there."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.types import Receive

from fdcn.serve.generator import Event, Preview, Result

GONE = 499
"""The status of a request in logs and metrics whose client left; nobody receives it."""
LARGE = 1 << 18
"""Bytes from which on text is not made on the event loop."""


class ClientGone(Exception):
    """The client left: there is nobody to answer."""


async def result_of(events: AsyncGenerator[Event, None], receive: Receive) -> Result:
    """The result at the end of a generator's events. Raises ClientGone, and closes the generator, when nobody waits."""
    last, gone = asyncio.ensure_future(_last(events)), asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait((last, gone), return_when=asyncio.FIRST_COMPLETED)
        if last.done():
            return last.result()
        raise ClientGone
    finally:
        await stop(events, last, gone)


async def left(receive: Receive) -> None:
    """Return when the client has gone; after its body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def stop(events: AsyncGenerator[Event, None], *pending: "asyncio.Future[Any]") -> None:
    """Cancel what waits on a generator or its client, and close the generator."""
    for future in pending:
        future.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await events.aclose()


async def rendered(render: Callable[[Any], bytes], event: Event) -> bytes:
    """An event as text; long ones are made beside the loop, which has other clients."""
    if isinstance(event, Preview | Result) and sum(map(len, event.pictures)) > LARGE:
        return await asyncio.to_thread(render, event)
    return render(event)


async def _last(events: AsyncGenerator[Event, None]) -> Result:
    async for event in events:
        if isinstance(event, Result):
            return event
    raise RuntimeError("a generator ended without a result")
