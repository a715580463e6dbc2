"""The folder of a set of pictures: what is done, what is missing, and the end.

A shard's file is written under another name and renamed, and then its record the same way: a shard is done when its
record is there and the file is as it says. Whoever makes a shard twice replaces it by the same pictures.
"""

import contextlib
import dataclasses
import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fdcn import records
from fdcn.bundle import replace_file, sha256
from fdcn.errors import FdcnError
from fdcn.serve.sets.files import keys, keys_wanted, write_archive, write_part, write_tar
from fdcn.serve.sets.sample_set import SampleSet, Shard

MANIFEST = "manifest.json"
ARCHIVE = "samples.npz"
PARTS = "parts"
"""Inside the folder, until all is done: the request, the records, and the shards of an archive."""
REQUEST = "request.json"
LOCK = "lock"
EMPTY = {PARTS, f"{PARTS}/{REQUEST}", f"{PARTS}/{LOCK}"}
"""What is there before the first picture."""
TEMPORARY = ".fdcn-" + 16 * "[0-9a-f]"
"""What `replace_file` writes to."""
FORMAT = 1
"""Of the manifest."""


@dataclasses.dataclass(frozen=True)
class Record:
    """A finished file, and the pictures that it holds."""

    file: str
    """Inside the folder."""
    first: int
    count: int
    bytes: int
    sha256: str
    backend: str
    """What made them: `Backend.name`."""


@dataclasses.dataclass(frozen=True)
class Done:
    """All of `manifest.json`."""

    format: int
    fdcn: str
    request: dict[str, Any]
    """`SampleSet.identity`."""
    weights_sha256: str
    shape: list[int]
    """[N, H, W, C] of all pictures."""
    files: list[Record]


class Folder:
    """Where a set of pictures lies, or will."""

    def __init__(self, path: Path, pictures: SampleSet) -> None:
        self.path, self._pictures = path, pictures

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and keep other commands out of it.

        Raises FdcnError where it has anything but this set, or cannot be written.
        """
        self._check_request()
        try:
            (self.path / PARTS).mkdir(parents=True, exist_ok=True)
            lock = (self.path / PARTS / LOCK).open("a")
        except OSError as error:
            raise FdcnError(f"cannot write to {self.path}: {error.strerror}; name another folder") from error
        with lock, _locked(lock, self.path):
            self._check_request()  # again: now nobody else changes it
            for left in self.path.rglob(TEMPORARY):  # by a command that was killed
                left.unlink(missing_ok=True)
            _write_json(self.path / PARTS / REQUEST, self._pictures.identity)
            yield

    def done(self) -> Done | None:
        """The finished set, where all of its files are as they were written."""
        done = self._read_manifest()
        return done if done and all(self._is_whole(record) for record in done.files) else None

    def missing(self) -> list[Shard]:
        """What is to be made, again where a file was damaged."""
        self._adopt()
        return [shard for shard in self._pictures.shards() if not self.has(shard)]

    def has(self, shard: Shard) -> bool:
        """Whether a shard is done."""
        record = self._record(shard)
        return record is not None and self._is_whole(record)

    def write(self, shard: Shard, pixels: np.ndarray, backend: str) -> None:
        """Finish a shard: uint8 [N, H, W, 3]. Raises FdcnError where it cannot be written."""
        path = self.path / self._name(shard)
        if self._pictures.format == "npz":
            replace_file(path, lambda file: write_part(file, pixels))
        else:
            replace_file(path, lambda file: write_tar(file, self._pictures, shard, pixels))
        self._write_record(shard, self._recorded(path, shard.first, shard.count, backend))

    def finish(self, fdcn: str, weights_sha256: str) -> Done:
        """Check that every index is there once, join the parts of an archive, and write the manifest."""
        found = [self._finished(shard) for shard in self._pictures.shards()]
        indices = [i for record in found for i in range(record.first, record.first + record.count)]
        assert indices == list(range(self._pictures.number)), "indices are missing or double"
        if self._pictures.format == "npz":
            parts = [self.path / record.file for record in found]
            archive = self.path / ARCHIVE
            replace_file(archive, lambda file: write_archive(file, self._pictures, parts))
            backends = ", ".join(sorted({record.backend for record in found}))
            found = [self._recorded(archive, 0, self._pictures.number, backends)]
        done = Done(FORMAT, fdcn, self._pictures.identity, weights_sha256, list(self._pictures.shape), found)
        _write_json(self.path / MANIFEST, dataclasses.asdict(done))
        self.tidy()
        return done

    def tidy(self) -> None:
        """Remove what only an unfinished set needs."""
        shutil.rmtree(self.path / PARTS, ignore_errors=True)

    def _check_request(self) -> None:
        """Raise FdcnError where the folder has another set, or anything else."""
        files = self._files()
        if not files:  # a command that failed before its first picture binds nobody
            return
        wanted, done = self._pictures.identity, self._read_manifest()
        found = done.request if done else _read_json(self.path / PARTS / REQUEST)
        if not isinstance(found, dict):
            raise FdcnError(f"{self.path} has other files, such as {min(files)}; name an empty folder or a new one")
        if found != wanted:
            name = next(name for name in [*wanted, *found] if found.get(name) != wanted.get(name))
            raise FdcnError(
                f"{self.path} has a set with {name} {_shown(found.get(name))}, and this one has "
                f"{_shown(wanted.get(name))}; ask for the same, or name another folder"
            )

    def _files(self) -> set[str]:
        """All that is there but what every set begins with, and what a killed command left."""
        try:
            parts = self.path / PARTS
            found = [*self.path.iterdir(), *(parts.iterdir() if parts.is_dir() else ())]
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise FdcnError(f"cannot read {self.path}: {error.strerror}; name another folder") from error
        kept = (path.relative_to(self.path).as_posix() for path in found if not path.match(TEMPORARY))
        return set(kept) - EMPTY

    def _adopt(self) -> None:
        """Of a finished set that was damaged, keep the shards; an archive is made anew."""
        done = self._read_manifest()
        if done and self._pictures.format == "webdataset":
            by_name = {record.file: record for record in done.files}
            for shard in self._pictures.shards():
                if record := by_name.get(self._name(shard)):
                    self._write_record(shard, record)

    def _finished(self, shard: Shard) -> Record:
        record = self._record(shard)
        if record is None or not self._is_whole(record) or (record.first, record.count) != (shard.first, shard.count):
            raise FdcnError(
                f"{self.path / self._name(shard)} was made and is not there as it was made; the folder must be one "
                "that every machine sees and nobody else changes: give the same command again"
            )
        if self._pictures.format == "webdataset":
            assert _keys(self.path / record.file) == keys_wanted(shard.indices), f"wrong pictures in {record.file}"
        return record

    def _name(self, shard: Shard) -> str:
        name = f"{shard.number:06d}"
        return f"{PARTS}/{name}.npy" if self._pictures.format == "npz" else f"{name}.tar"

    def _record_path(self, shard: Shard) -> Path:
        return self.path / PARTS / f"{shard.number:06d}.json"

    def _record(self, shard: Shard) -> Record | None:
        with contextlib.suppress(records.Malformed):
            content = _read_json(self._record_path(shard))
            return None if content is None else records.parse(Record, content, "record")
        return None

    def _write_record(self, shard: Shard, record: Record) -> None:
        _write_json(self._record_path(shard), dataclasses.asdict(record))

    def _recorded(self, path: Path, first: int, count: int, backend: str) -> Record:
        name = path.relative_to(self.path).as_posix()
        return Record(name, first, count, path.stat().st_size, sha256(path), backend)

    def _is_whole(self, record: Record) -> bool:
        path = self.path / record.file
        with contextlib.suppress(OSError):
            return path.stat().st_size == record.bytes and sha256(path) == record.sha256
        return False

    def _read_manifest(self) -> Done | None:
        # The request is compared as it is: it may be one of a later version.
        with contextlib.suppress(records.Malformed, TypeError, KeyError):
            content = _read_json(self.path / MANIFEST)
            files = records.parse(list[Record], content["files"], "manifest.files")
            return Done(**(content | {"files": files}))
        return None


def _keys(path: Path) -> Sequence[str]:
    try:
        return keys(path)
    except (OSError, tarfile.TarError):
        return []


def _read_json(path: Path) -> Any:
    """The content, or None where there is no such file, or no JSON in it."""
    with contextlib.suppress(OSError, ValueError):
        return records.read_json(path.read_text("utf-8"))
    return None


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda file: file.write(text.encode()))


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


@contextlib.contextmanager
def _locked(file: TextIO, folder: Path) -> Iterator[None]:
    """Hold a folder's file alone among processes. Raises FdcnError where another one does."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FdcnError(f"another fdcn sample is writing to {folder}; wait for it, or name another folder") from None
    except OSError:
        pass  # a disk without locks: two commands would do the work twice, and nothing worse
    yield
