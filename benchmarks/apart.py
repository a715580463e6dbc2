"""Code in a process of its own, so that the time and the memory that it measures are its own."""

import json
import subprocess
import sys
from typing import Any


def run_apart(code: str, *arguments: object) -> Any:
    """What the last line that `code` prints says in JSON; `arguments` are in its `sys.argv`.

    What it says on standard error is seen. Raises subprocess.CalledProcessError where it fails.
    """
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])
