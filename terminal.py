"""How the command line talks: errors in one line, hints, and progress on anything over a second."""

import contextlib
import os
import shlex
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from fdcn import DEFAULT_BUNDLE
from fdcn.errors import FdcnError

_interrupted = threading.Event()
PROGRESS_AFTER = 1.0
"""Seconds before a progress bar appears."""


def run_command(command: click.Command) -> int:
    """Run a command line and return its exit status: 0, 1 for an error of fdcn, 2 for one of usage."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        return command.main(prog_name="fdcn", standalone_mode=False) or 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "fdcn"
        _complain(f"{error.format_message()} ({where} --help lists the options)")
        return 2
    except FdcnError as error:
        _complain(str(error))
    except click.exceptions.Abort:
        _complain("interrupted; nothing was left half-written")
    except click.ClickException as error:
        _complain(error.format_message())
    except MemoryError:
        _complain("out of memory; choose a smaller size or fewer pictures")
    return 1


def say(line: str) -> None:
    """Print a line of a long piece of work, which ends here if it was interrupted and did not notice."""
    if _interrupted.is_set():
        raise click.Abort
    click.echo(line)


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    # Python drops an exception that is raised while it runs a finaliser, and tracing runs many: so it is noted too.
    _interrupted.set()
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    click.echo("error: " + " ".join(message.split()), err=True)


@contextlib.contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn the missing packages of an optional part into the command that installs them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fdcn"):
            raise
        raise FdcnError(f"this needs {error.name}, which is not installed: pip install 'fdcn[{extra}]'") from error


def named(bundle: Path) -> str:
    """How a following command names a bundle: nothing for the default one."""
    return "" if bundle == Path(DEFAULT_BUNDLE) else f" {shlex.quote(str(bundle))}"


def check_writable(*paths: Path | None) -> None:
    """Raise FdcnError where the folder of a file cannot take it: before the work, not after."""
    for path in filter(None, paths):
        if not path.parent.is_dir():
            raise FdcnError(f"cannot write {path}: {path.parent} is not a folder; make it first")
        if path.is_dir():
            raise FdcnError(f"cannot write {path}: it is a folder; name a file")
        if not os.access(path.parent, os.W_OK):
            raise FdcnError(f"cannot write {path}: {path.parent} is not writable; name another folder")


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that shows a bar on a terminal once a second has passed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(title, total=None)
    began, shown = time.monotonic(), False

    def progress(done: int, total: int) -> None:
        nonlocal shown
        bar.update(task, completed=done, total=total)
        if not shown and bar.console.is_terminal and time.monotonic() - began > PROGRESS_AFTER:
            bar.start()
            shown = True

    try:
        yield progress
    finally:
        if shown:
            bar.stop()
