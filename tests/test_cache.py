"""The user's cache: made once among processes, whole or not there, and clear about where it cannot be."""

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from fdcn import cache
from fdcn.errors import FdcnError

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps and locks it by other means")


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    monkeypatch.setenv("FDCN_CACHE", str(tmp_path / "cache"))


def make_slowly(folder: str) -> None:
    """Ask for one artifact, and leave a mark for each time that it is made."""

    def make(out: Path) -> None:
        (Path(folder) / f"made-{time.monotonic_ns()}").touch()
        time.sleep(0.5)
        out.write_bytes(b"whole")

    assert cache.artifact("thing.bin", ["source"], make).read_bytes() == b"whole"


def test_processes_that_ask_at_once_make_it_once(tmp_path):
    started = [multiprocessing.get_context("spawn").Process(target=make_slowly, args=(str(tmp_path),)) for _ in "123"]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    assert len(list(tmp_path.glob("made-*"))) == 1


def test_what_it_was_made_from_names_it():
    one, again, other = (cache.location("thing.bin", parts) for parts in (["ab", "c"], [b"ab", b"c"], ["a", "bc"]))
    assert one == again != other
    assert one.name.startswith("thing-")
    assert one.suffix == ".bin"


def test_what_fails_halfway_leaves_nothing():
    def make(out: Path) -> None:
        out.write_bytes(b"half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cache.artifact("thing.bin", ["source"], make)
    assert [path for path in cache.folder().iterdir() if not path.name.endswith(".lock")] == []
    assert cache.artifact("thing.bin", ["source"], lambda out: out.write_bytes(b"whole")).read_bytes() == b"whole"


@on_posix
def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("FDCN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "fdcn"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.folder() == tmp_path / "home" / ".cache" / "fdcn"


def test_a_user_without_a_home_is_told_what_to_name(monkeypatch):
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FDCN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(FdcnError, match="FDCN_CACHE"):
        cache.folder()


def test_a_folder_that_is_a_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FDCN_CACHE", str(tmp_path / "file"))
    with pytest.raises(FdcnError, match=r"cannot write to the cache .*FDCN_CACHE"):
        cache.artifact("thing.bin", ["source"], lambda out: out.touch())


def test_a_disk_without_locks_is_refused(monkeypatch):
    def lock(handle: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(cache, "_lock", lock)
    with pytest.raises(FdcnError, match=r"has no locks \(Operation not supported\); .*FDCN_CACHE"):
        cache.artifact("thing.bin", ["source"], lambda out: out.touch())
