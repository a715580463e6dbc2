"""The C++ program of stage gpu-cpp, as a Python object that is asked for pictures."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cpp_build
import numpy as np

from fdcn.bundle import Bundle


class Refused(Exception):
    """What the C++ runtime said of a request that it does not grant."""


class Program:
    """One process with one pipeline; `answers` gives each request's."""

    def __init__(self, work: Path, bundle: Bundle) -> None:
        if not (work / "pictures").exists():
            cpp_build.build(work)
        self._file = work / "asked"
        self._process = subprocess.Popen(
            [str(work / "pictures"), str(bundle.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=cpp_build.environment(),
        )
        self.backend = self._said()

    def sample(
        self,
        request: dict[str, Any],
        *,
        runs: int = 1,
        pause: float = 0.0,
        noise: np.ndarray | None = None,
        on_device: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, list[float]]:
        """The last run's latents and pixels, flat, and the seconds of each run. Raises Refused."""
        shape = "-"
        if noise is not None:
            self._file.with_suffix(".noise").write_bytes(np.ascontiguousarray(noise, np.float32).tobytes())
            shape = ",".join(map(str, noise.shape))
        where, text = "device" if on_device else "host", json.dumps(request)
        assert self._process.stdin
        print(where, runs, pause, self._file, shape, text, file=self._process.stdin, flush=True)
        said = self._said()
        if said.startswith("refused: "):
            raise Refused(said.removeprefix("refused: "))
        latents = np.fromfile(self._file.with_suffix(".latents"), np.float32)
        pixels = np.fromfile(self._file.with_suffix(".pixels"), np.uint8)
        return latents, pixels, [float(word) for word in said.split()]

    def close(self) -> int:
        """End it; its status."""
        assert self._process.stdin
        self._process.stdin.close()
        return self._process.wait(60)

    def _said(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, f"the C++ program ended with status {self._process.wait(10)}"
        assert not line.startswith("failed: "), line
        return line


@contextlib.contextmanager
def opened(work: Path, bundle: Bundle) -> Iterator[Program]:
    """A program that has to end well."""
    program = Program(work, bundle)
    try:
        yield program
    finally:
        status = program.close()
    assert status == 0, f"the C++ program ended with status {status}"
