"""What the scripts that fetch other projects' packages have in common."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def folder_argument(description: str | None) -> Path:
    """FOLDER of the command line, the only thing that is said there."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    return parser.parse_args().folder.resolve()


def fetch_once(folder: Path, fetch: Callable[[Path, Path], None], what: str, instead: str = "") -> None:
    """Have `fetch(made, temporary)` make a folder that is not there yet, so that it is there whole or not at all.

    Both lie beside it. Where `what` cannot be had, the process ends with the reason and what to do `instead`.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        try:
            fetch(made, Path(temporary))
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"could not fetch {what}: {reason(error)}" + (f"; {instead}" if instead else ""))
        made.rename(folder)


def run(*words: str, cwd: Path | None = None) -> None:
    """Run a program. Raises OSError or subprocess.CalledProcessError, of which `reason` makes a line."""
    subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True)


def install(folder: Path, *packages: str) -> None:
    """Put packages of Python's index into a folder, without what they require."""
    words = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run(*words, "--no-deps", "--only-binary=:all:", "--target", str(folder), *packages)


def reason(error: OSError | subprocess.CalledProcessError) -> str:
    """The last thing that a failed program said, or why it did not start."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or error.stdout or "").strip().splitlines() or [f"status {error.returncode}"]
        return f"{Path(error.cmd[0]).name}: {lines[-1]}"
    return str(error)
