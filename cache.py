"""What fdcn builds for this machine and user: compiled kernels, libraries, timing caches, engines.

Each artifact lies under the hash of all that it was made from, so nothing is ever out of date; it is written under a
temporary name and renamed, so it is whole or not there; and one process makes it while others wait.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fdcn.errors import FdcnError


def folder() -> Path:
    """The user's cache folder: $FDCN_CACHE, or `fdcn` in the system's own place for caches. It may not exist yet.

    Raises FdcnError where nothing names one: for a user without a home.
    """
    if named := os.environ.get("FDCN_CACHE"):
        return Path(named)
    if system := os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"):
        return Path(system) / "fdcn"
    try:
        return Path.home() / ("AppData/Local" if sys.platform == "win32" else ".cache") / "fdcn"
    except RuntimeError as error:
        raise FdcnError("this user has no home for the cache; name a folder in FDCN_CACHE") from error


def artifact(name: str, made_from: Iterable[bytes | str], make: Callable[[Path], object]) -> Path:
    """Path of a cached file; `make(temporary)` writes it where it is not there yet.

    `name` is a file name such as "fdcn_ops.so"; the hash of `made_from` (sources, compiler, flags, versions) goes
    between its stem and its suffix. Raises FdcnError where the cache cannot be written, and what `make` raises.
    """
    path = location(name, made_from)
    if path.exists():
        return path
    with locked(path):
        if not path.exists():
            handle, temporary = tempfile.mkstemp(prefix=".incoming-", suffix=path.suffix, dir=path.parent)
            os.close(handle)
            try:
                make(Path(temporary))
                Path(temporary).chmod(0o644)
                os.replace(temporary, path)
            finally:
                Path(temporary).unlink(missing_ok=True)
    return path


def location(name: str, made_from: Iterable[bytes | str]) -> Path:
    """Where `artifact` keeps a file, whether it is there or not."""
    return folder() / named(name, made_from)


def named(name: str, made_from: Iterable[bytes | str]) -> str:
    """The name under which `artifact` keeps a file."""
    digest = hashlib.sha256()
    for part in made_from:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    stem, suffix = Path(name).stem, Path(name).suffix
    return f"{stem}-{digest.hexdigest()[:16]}{suffix}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a path among processes; waits for it. The lock is a file beside it, and goes with its holder.

    Raises FdcnError where the folder cannot be written, or its disk has no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = (path.parent / f".{path.name}.lock").open("a+b")
    except OSError as error:
        raise FdcnError(
            f"cannot write to the cache {path.parent}: {error.strerror}; name another in FDCN_CACHE"
        ) from error
    with file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise FdcnError(
                f"the disk of the cache {path.parent} has no locks ({error.strerror}); name another in FDCN_CACHE"
            ) from error
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        while True:
            with contextlib.suppress(OSError):  # LK_LOCK gives up after ten seconds
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
                return

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
