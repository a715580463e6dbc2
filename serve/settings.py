"""What a server grants: the options of `fdcn serve`."""

import dataclasses
import math
from pathlib import Path

from fdcn.errors import FdcnError

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Settings:
    """All of it; the defaults are those of the command line. It can be pickled."""

    bundle: Path
    backend: str = "auto"
    device: int | None = None
    allow_bundled_code: bool = False
    warmup: tuple[tuple[int, int, int], ...] = ()
    """(width, height, images) that are fast from the first request on; the training size by default."""
    max_batch: int = 8
    """Most pictures of several requests that are sampled together."""
    max_delay: float = 0.005
    """Seconds that a request may wait for others to fill its batch."""
    max_queue: int = 64
    """Most pictures that are accepted and not done; beyond, requests are refused with 429."""
    max_images: int = 10
    """Most pictures of one request."""
    max_size: tuple[int, int] = (1024, 1024)
    """Most pixels of a picture, as (width, height): neither side is longer than the longer one of these, and the
    picture has no more pixels than this one."""
    max_steps: int = 250
    """Most steps of a solver."""
    deadline: float = 60.0
    """Seconds after which a request is given up."""
    max_body: int = 4 * MIB
    """Most bytes of a request's body."""
    body_seconds: float = 10.0
    """A request's head, and then its body, must have arrived within so many seconds."""
    max_connections: int = 512
    api_key_file: Path | None = None
    """A key a line; without it every caller is served."""
    cors_origins: tuple[str, ...] = ()
    drain: float = 30.0
    """Seconds that accepted requests have to end after SIGTERM."""

    def __post_init__(self) -> None:
        if self.max_images > self.max_queue:
            raise FdcnError(
                f"the queue holds {self.max_queue} pictures and a request may have {self.max_images}; "
                "raise --max-queue, or lower --max-images"
            )
        for name in ("max_delay", "deadline", "body_seconds", "drain"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise FdcnError(f"{name} of {seconds} seconds is no time; give a number from 0")
