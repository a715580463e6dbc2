"""What tests of the C++ runtime share: its operator, and `parity`, which answers what its parts make of something."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cpp_runtime import built

from fdcn import cache
from fdcn.errors import FdcnError
from fdcn.plugins import libraries

Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def native_cache(tmp_path_factory) -> Path:
    """A cache folder, for FDCN_CACHE, with the native operator that was built beside the library."""
    folder = tmp_path_factory.mktemp("native-cache")
    name = cache.named("libfdcn_ops.so", libraries._made_from("ops", None))
    (folder / name).symlink_to(built() / "libfdcn_ops.so")
    return folder


@pytest.fixture(scope="session")
def parity() -> Iterator[Ask]:
    """parity("repr", text="é") → what C++ says; raises FdcnError with its sentence where it refuses."""
    with subprocess.Popen([built() / "parity"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(command: str, **given: Any) -> Any:
            process.stdin.write(json.dumps({"command": command, **given}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert "failed" not in answer, f"{command}: {answer['failed']}"
            if "refused" in answer:
                raise FdcnError(answer["refused"])
            return answer["result"]

        yield ask
        process.stdin.close()
        assert process.wait() == 0
