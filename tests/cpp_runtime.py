"""The C++ runtime as its users get it: built by CMake, and installed."""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "cpp"
"""Where `make cpp` builds. It has done so before `make test` runs these tests: then nothing is left to do."""
INSTALLED = BUILD / "install"


def environment() -> dict[str, str]:
    """This process's, with the programs that pip puts beside Python on the path: CMake and Ninja."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(*words: object, **options) -> str:
    """Run a program that must not fail, and return what it printed."""
    done = subprocess.run(
        [str(word) for word in words],
        **{"env": environment(), "capture_output": True, "text": True, "timeout": 900, "check": False, **options},
    )
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def configure(source: Path, build: Path, *options: str) -> None:
    """Configure, with Ninja where it is; skips the test, and says why, where something that it needs is missing."""
    path = environment()["PATH"]
    if shutil.which("cmake", path=path) is None:
        pytest.skip("the C++ runtime was not tested: there is no CMake")
    generator = ["-G", "Ninja"] if shutil.which("ninja", path=path) else []
    command = ["cmake", "-S", source, "-B", build, *generator, f"-DPython3_EXECUTABLE={sys.executable}", *options]
    done = subprocess.run(list(map(str, command)), env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        (reason,) = [line for line in done.stderr.splitlines() if line.startswith("  ")][:1] or [done.stderr]
        assert "Could NOT find" in done.stderr or "Could not find" in done.stderr, done.stderr
        pytest.skip(f"the C++ runtime was not tested: {reason.strip()}")


@functools.cache
def built() -> Path:
    """The folder of libfdcn.so, of the test programs and of `parity`, up to date with the sources."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD.parent / "cpp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        in_place = "-DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON"  # as `make cpp`: what is installed runs where it is
        configure(ROOT, BUILD, f"-DCMAKE_INSTALL_PREFIX={INSTALLED}", in_place)
        run("cmake", "--build", BUILD)
    return BUILD / "runtime" / "cpp"


@functools.cache
def installed() -> Path:
    """The folder that the library is installed in."""
    built()
    with (BUILD.parent / "cpp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("cmake", "--install", BUILD)
    return INSTALLED
