"""Reading arrays that a user names."""

from pathlib import Path

import numpy as np

from fdcn.errors import FdcnError


def read_array(path: Path) -> np.ndarray:
    """A .npy file's array. Raises FdcnError where there is none; a file that holds Python objects is refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FdcnError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise FdcnError(f"{path} is not a NumPy array file ({str(error)[:100]}); write it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        raise FdcnError(f"{path} is an archive of arrays; save the one array with numpy.save")
    return array
