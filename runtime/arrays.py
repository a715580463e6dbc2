"""Reading arrays that a user names."""

from pathlib import Path

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say


def read_array(path: Path) -> np.ndarray:
    """A .npy file's array. Raises FdcnError where there is none; a file that holds Python objects is refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FdcnError(say("array.no_file", file=path)) from None
    except (OSError, ValueError, EOFError) as error:
        raise FdcnError(say("array.not_an_array", file=path, reason=str(error)[:100])) from error
    if not isinstance(array, np.ndarray):
        raise FdcnError(say("array.archive", file=path))
    return array
