"""The interface between the HTTP application and whatever makes pictures, in this process or in others.

All that crosses it can be pickled.
"""

import dataclasses
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, Protocol

from fdcn.errors import FdcnError


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How pictures become files."""

    format: Literal["png", "jpeg", "webp"] = "png"
    compression: int | None = None
    """0 to 100, as in OpenAI's `output_compression`: the quality of JPEG and WebP; PNG has none. None: the format's
    default here."""

    @property
    def media_type(self) -> str:
        """As image/png."""
        return f"image/{self.format}"


@dataclasses.dataclass(frozen=True)
class Ask:
    """One request for pictures."""

    id: str
    """Of the HTTP request, in every line of the log that is about it."""
    options: Mapping[str, Any]
    """Arguments of `Pipeline.submit`: values of JSON, and `noise` as a NumPy array; no callbacks."""
    seconds: float
    """From now on until it is given up."""
    encoding: Encoding = Encoding()
    latents: bool = False
    """Whether the final latents are wanted too."""
    watched: bool = False
    """Whether somebody listens: else only the `Result` is given."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Evaluations of the network that are done, and how many there are; begins again where a request is repeated."""

    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class Preview:
    """The pictures that some are heading for."""

    done: int
    total: int
    first: int
    """The index of the first of them in the request."""
    pictures: list[bytes]
    """Files, as the request's encoding says."""


@dataclasses.dataclass(frozen=True)
class Result:
    """The end of a request."""

    pictures: list[bytes]
    """Files."""
    parameters: dict[str, Any]
    """What made them: `Images.parameters()`."""
    notes: list[str]
    """What a user should know: `Pipeline.notes`."""
    latents: bytes | None
    """float32 [B, C, h, w] as an .npy file, where they were asked for."""
    queued: float
    """Seconds from arrival to the first evaluation's begin."""
    sampling: float
    """Seconds from there to the last pixel, in company of `batch` pictures."""
    batch: int


Event = Progress | Preview | Result


@dataclasses.dataclass(frozen=True)
class Description:
    """What is being served, as values of JSON: who asks a server sees this."""

    model: str
    """The bundle's name: its folder's."""
    backend: str
    """`Backend.name`: which library runs which artifact."""
    classes: int
    class_names: list[str] | None
    channels: int
    """Of a picture: 1 or 3."""
    train_size: tuple[int, int]
    """Width and height in pixels; what a request without a size gets."""
    fixed_size: tuple[int, int] | None
    """The only size, where the bundle was exported for one."""
    solver: str
    steps: int
    guidance: float
    reads: str
    """First 16 characters of the manifest's SHA-256: tells one bundle from another."""
    max_size: tuple[int, int]
    max_images: int


class Refused(FdcnError):
    """Beyond what this server grants: 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param)
        self.param = param
        """The field of the request that is to be changed."""

    def __str__(self) -> str:
        return str(self.args[0])


class Busy(Exception):
    """The queue is full: 429."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after
        """Seconds after which there may be room."""


class TooLate(Exception):
    """The deadline has passed: 504."""


class NotReady(Exception):
    """It has not begun, or is about to end: 503."""


class Generator(Protocol):
    """Makes pictures. All methods are called on one event loop."""

    async def start(self) -> None:
        """Load what is needed and warm it up. Raises FdcnError where that cannot be done."""
        ...

    @property
    def ready(self) -> bool:
        """Whether requests are taken: begun, and not ending."""
        ...

    @property
    def waiting(self) -> int:
        """Pictures that were accepted and are not done."""
        ...

    def describe(self) -> Description:
        """What is being served; after `start`."""
        ...

    def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Make pictures: progress and previews for those who watch, and in the end the one `Result`.

        Raises FdcnError for an impossible request, `Refused` beyond the server's limits, Busy, TooLate or NotReady.
        Closing it (`contextlib.aclosing`) gives the pictures up.
        """
        ...

    async def reload(self) -> Description:
        """Take over what now lies at the bundle's path, warmed up; requests that were accepted end as they began.

        Raises FdcnError where it cannot be loaded; the old one goes on then.
        """
        ...

    async def close(self) -> None:
        """Accept nothing more, finish what was accepted, and give back memory."""
        ...
