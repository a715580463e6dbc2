"""libfdcn through ctypes, as any other language gets it: every function with the types that fdcn.h declares."""

import ctypes
import re
from pathlib import Path
from typing import Any

from cpp_runtime import ROOT

HEADER = ROOT / "runtime" / "cpp" / "include" / "fdcn" / "fdcn.h"
OK, ERROR, CANCELLED, OUT_OF_MEMORY, DEFECT = range(5)
Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
TYPES = {
    "void": None,
    "int": ctypes.c_int,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "fdcn_status": ctypes.c_int,
    "fdcn_progress": Progress,
    "char const*": ctypes.c_char_p,
}


def declarations() -> dict[str, tuple[str, list[str]]]:
    """The header's functions: what each returns, and the types of its parameters."""
    code = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    found = {}
    for result, name, given in re.findall(r"FDCN_API ([\w ]+\*?) ?(fdcn_\w+)\(([^)]*)\);", code):
        parameters = [" ".join(one.split()) for one in given.split(",") if one.strip() != "void"]
        # The last word of each is its name; an array is an address.
        found[name] = (
            result.strip(),
            [re.sub(r"\w+(\[\d+\])?$", "", one).strip() + "*" * one.count("[") for one in parameters],
        )
    return found


def library(path: Path) -> ctypes.CDLL:
    """The library, with its functions' types; anything that is an address is a number or None."""
    opened = ctypes.CDLL(str(path))
    for name, (result, parameters) in declarations().items():
        function = getattr(opened, name)
        function.restype = TYPES.get(result, ctypes.c_void_p)
        function.argtypes = [TYPES.get(one, ctypes.c_void_p) for one in parameters]
    return opened


class Failed(Exception):
    """A call that did not return FDCN_OK: its status, and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Api:
    """Calls that raise `Failed`, and handles that are destroyed at the end: `api.make("request_parse", b"{}")`."""

    def __init__(self, opened: ctypes.CDLL) -> None:
        self.library = opened
        self._handles: list[tuple[str, ctypes.c_void_p]] = []

    def __call__(self, name: str, *given: Any) -> Any:
        result = getattr(self.library, f"fdcn_{name}")(*given)
        if declarations()[f"fdcn_{name}"][0] == "fdcn_status" and result != OK:
            raise Failed(result, self.library.fdcn_last_error().decode())
        return result

    def make(self, name: str, *given: Any, kind: str) -> ctypes.c_void_p:
        """What a function gives through its last parameter, a handle of some kind."""
        handle = ctypes.c_void_p(1)  # anything: it must be NULL where the call fails
        try:
            self(name, *given, ctypes.byref(handle))
        except Failed:
            assert handle.value is None
            raise
        self._handles.append((kind, handle))
        return handle

    def close(self) -> None:
        """Destroy the handles, the oldest first: no order matters."""
        for kind, handle in self._handles:
            self(f"{kind}_destroy", handle)
