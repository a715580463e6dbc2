"""TensorRT in its flavours: TensorRT from 10.6 on, 11, and TensorRT-RTX, behind one seam.

Whatever else in fdcn uses TensorRT takes a `Flavour` from `load` or `available` and calls its `module`, which has the
names of TensorRT's Python API. Only what differs between the flavours is a function here. Two of those differences
end the process where nobody looks first:

- TensorRT's builder throws across its C interface on a machine without a driver: make it with `builder`.
- RTX's parser opens `libtensorrt_rtx.so` by that bare name for a plugin's node, while its wheel has the file as
  `libtensorrt_rtx.so.1` alone: `load` makes the name findable, and says how to make it by hand where it cannot.
"""

import contextlib
import ctypes
import dataclasses
import functools
import importlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

from fdcn import cache, gpu
from fdcn.errors import FdcnError


@dataclasses.dataclass(frozen=True)
class _Package:
    """How a flavour is installed."""

    title: str
    modules: tuple[str, ...]
    distributions: tuple[str, ...]
    oldest: tuple[int, ...]
    install: str


_PACKAGES = {
    "tensorrt": _Package("TensorRT", ("tensorrt",), ("tensorrt-{}-bindings", "tensorrt-{}"), (10, 6), "tensorrt"),
    "tensorrt-rtx": _Package(
        "TensorRT-RTX",
        ("tensorrt_rtx", "tensorrt_rtx_bindings"),
        ("tensorrt-rtx-{}-bindings", "tensorrt-rtx-{}"),
        (1, 7),
        "'fdcn[rtx]'",
    ),
}
NAMES = tuple(_PACKAGES)


@dataclasses.dataclass(frozen=True)
class Flavour:
    """One installed TensorRT."""

    name: str
    """Of `NAMES`."""
    version: str
    cuda: str
    """Major version of CUDA that its library was made with, as 13; empty where the installation does not tell."""
    module: Any = dataclasses.field(repr=False, compare=False)
    """Its Python API, as `tensorrt` has it."""

    def __str__(self) -> str:
        return f"{_PACKAGES[self.name].title} {self.version}"


def available() -> list[Flavour]:
    """Every flavour that loads here."""
    found = []
    for name in NAMES:
        with contextlib.suppress(FdcnError):
            found.append(load(name))
    return found


@functools.cache
def load(name: str) -> Flavour:
    """The flavour of a name, ready to parse graphs with plugin nodes.

    Raises FdcnError where it is not installed, too old, or does not load.
    """
    package = _PACKAGES[name]
    module = next((module for module in package.modules if util.find_spec(module)), None)
    if module is None:
        raise FdcnError(f"{package.title} is not installed: pip install {package.install}")
    try:
        if name == "tensorrt-rtx" and sys.platform == "linux":
            _name_library()
        loaded = importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise FdcnError(
            f"{package.title} does not load ({error}); install it again: pip install --force-reinstall "
            f"{package.install}, or put the folder of its libraries into LD_LIBRARY_PATH"
        ) from error
    version = str(loaded.__version__)
    if tuple(map(int, version.split(".")[:2])) < package.oldest:
        wanted = ".".join(map(str, package.oldest))
        raise FdcnError(
            f"{package.title} {version} is too old, {wanted} is needed: pip install --upgrade {package.install}"
        )
    return Flavour(name, version, _cuda(package), loaded)


def builder(flavour: Flavour, logger: Any) -> Any:
    """The flavour's Builder. Raises FdcnError where there is no GPU and the flavour cannot do without."""
    if flavour.name == "tensorrt" and gpu.first() is None:
        raise FdcnError(
            f"{flavour} builds on a machine with an NVIDIA GPU and driver only, and there is none here; "
            "name the GPU to build for, which takes TensorRT-RTX: fdcn build --gpu sm_86"
        )
    try:
        return flavour.module.Builder(logger)
    except TypeError as error:  # what a null pointer from the library becomes
        raise FdcnError(
            f"{flavour} does not start; its driver may be older than CUDA {flavour.cuda}: fdcn doctor"
        ) from error


def network_flags(flavour: Flavour) -> int:
    """Flags of `create_network` for types that are those of the graph, which TensorRT 10 must be asked for."""
    flags = flavour.module.NetworkDefinitionCreationFlag
    return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0


def check_compute(flavour: Flavour, compute: Sequence[str]) -> None:
    """Raise FdcnError where the flavour cannot build for one of these architectures, such as sm_86."""
    if compute:
        _capabilities(flavour, compute)


def set_compute(flavour: Flavour, config: Any, compute: Sequence[str]) -> None:
    """Let a builder's configuration build for these architectures. Raises FdcnError as `check_compute`."""
    capabilities = _capabilities(flavour, compute)
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        config.set_compute_capability(capability, index)


def _capabilities(flavour: Flavour, compute: Sequence[str]) -> list[Any]:
    enum = getattr(flavour.module, "ComputeCapability", None)
    if enum is None:
        raise FdcnError(f"{flavour} builds for the GPU it runs on; for {', '.join(compute)} it takes TensorRT-RTX")
    known = {f"sm_{name[2:]}": value for name, value in enum.__members__.items() if name.startswith("SM")}
    for name in compute:
        if name not in known:
            raise FdcnError(f"{flavour} cannot build for {name}; it knows {', '.join(known)}")
    return [known[name] for name in compute]


def _cuda(package: _Package) -> str:
    """The bindings say nothing of CUDA; the name of their distribution does."""
    for major in ("13", "12", "11"):
        for distribution in package.distributions:
            with contextlib.suppress(metadata.PackageNotFoundError):
                metadata.version(distribution.format(f"cu{major}"))
                return major
    return ""


_BARE = "libtensorrt_rtx.so"
_FILES = ("libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1")


def _name_library() -> None:
    """Make RTX's library findable under its bare name by RTX's parser, which looks in the folder that it came from.

    That folder is the one of the path by which the parser was first opened: where nobody has opened it yet, a folder
    of links in the cache serves. Raises FdcnError where it was opened before and its own folder cannot be written.
    """
    spec = util.find_spec("tensorrt_rtx_libs")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    if folder is None or (folder / _BARE).exists() or not all((folder / name).exists() for name in _FILES):
        return  # NVIDIA's own package has the name
    parser = _origin(_open_parser(folder))
    if (parser / _BARE).exists():
        return
    try:
        (parser / _BARE).symlink_to(_FILES[0])
    except FileExistsError:
        return  # by another process, just now
    except OSError as error:
        raise FdcnError(
            f"TensorRT-RTX was imported before fdcn could prepare it, and its parser cannot find its own library "
            f"({parser}: {error.strerror}); load fdcn first, or once: ln -s {_FILES[0]} {parser / _BARE}"
        ) from error


def _open_parser(folder: Path) -> ctypes.CDLL:
    """RTX's parser, opened through links in the cache where that can be."""
    try:
        return ctypes.CDLL(str(_links(folder) / _FILES[1]))
    except FdcnError:  # no cache: there remains the folder itself
        return ctypes.CDLL(str(folder / _FILES[1]))


def _links(folder: Path) -> Path:
    """A folder of the cache with links to both of RTX's libraries, and to the one by its bare name too."""
    links = cache.location("tensorrt-rtx", [str(folder), *(str((folder / name).stat().st_ino) for name in _FILES)])
    with cache.locked(links):
        links.mkdir(exist_ok=True)
        for name, target in ((_BARE, _FILES[0]), *zip(_FILES, _FILES, strict=True)):
            if not (links / name).exists():
                (links / name).unlink(missing_ok=True)
                (links / name).symlink_to(folder / target)
    return links


def _origin(library: ctypes.CDLL) -> Path:
    """The folder that the loader takes for $ORIGIN in a library."""
    RTLD_DI_ORIGIN = 6
    folder = ctypes.create_string_buffer(os.pathconf("/", "PC_PATH_MAX"))
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    if dlinfo(library._handle, RTLD_DI_ORIGIN, folder):
        raise OSError(f"dlinfo does not know {library}")
    return Path(os.fsdecode(folder.value))
