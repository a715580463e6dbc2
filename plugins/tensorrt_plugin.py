"""MultiScaleDCN in TensorRT: the kinds of plugins there are, and how a process gets one.

| kind | what runs | needs |
|---|---|---|
| library | the C++ library, built by `libraries` | nothing of Python: it serves programs in C++ too |
| python | the kernel, compiled by NVRTC on the machine that runs it | cuda-python and NVRTC; no compiler |
| aot | the kernel's PTX, which the engine then contains | TensorRT ≥ 10.9 to build, nothing to run |

Library and Python plugin serialise the same fields: an engine built with one runs with the other.
"""

import ctypes
from importlib import util
from pathlib import Path

from fdcn import gpu
from fdcn.errors import FdcnError
from fdcn.plugins import nvrtc, spec, tensorrt_python
from fdcn.plugins.flavours import Flavour

KINDS = ("library", "python", "aot")

_registered: dict[str, tuple[str, object]] = {}
"""By flavour: the kind and whatever must live as long as the process."""


def can_compile() -> bool:
    """Whether the Python plugin can run on this machine, or on one like it."""
    found = gpu.first()
    newest = int(found.cuda.partition(".")[0]) if found else None
    return nvrtc.find(newest) is not None and _has_bindings()


def register(flavour: Flavour, kind: str, library: str | Path | None = None) -> object:
    """Make the operator known to a flavour, with a plugin of one of `KINDS`, for the rest of the process.

    What is registered already stays, since engines may be using it: kinds that run the same engines take each other's
    place. `library` is the path of the C++ library. Raises FdcnError where the library is none, or not for this
    machine or version of the operator; where the flavour has no plugins of the kind; or where, for "aot", another
    kind is registered already.
    """
    if flavour.name in _registered:
        before, kept = _registered[flavour.name]
        if before != kind and "aot" in (before, kind):
            raise FdcnError(f"this process already has the {before} plugin; build with --plugin {kind} in a new one")
        return kept
    if kind == "library":
        assert library is not None
        kept = _load(flavour, Path(library))
    elif kind == "python":
        kept = tensorrt_python.creator(flavour)
        if not flavour.module.get_plugin_registry().register_creator(kept, spec.DOMAIN):
            raise FdcnError(f"{flavour} already has another {spec.DOMAIN}::{spec.NAME}; register fdcn's before it")
    else:
        from fdcn.plugins import tensorrt_aot

        kept = tensorrt_aot.register(flavour)
    _registered[flavour.name] = kind, kept
    return kept


def _has_bindings() -> bool:
    return bool(util.find_spec("cuda") and util.find_spec("cuda.bindings"))


def _load(flavour: Flavour, library: Path) -> object:
    """Load the C++ library, after a look at whether it is one that runs here."""
    mend = "build it again: python -m fdcn.plugins.libraries tensorrt"
    try:
        cuda = int(ctypes.CDLL(str(library)).fdcn_cuda_version()) // 1000
    except (OSError, AttributeError) as error:
        raise FdcnError(f"{library} is not fdcn's plugin library ({error}); {mend}") from error
    found = gpu.first()
    if found and int(found.cuda.partition(".")[0]) < cuda:
        raise FdcnError(
            f"{library} was built with CUDA {cuda}, and driver {found.driver} runs CUDA up to {found.cuda}; "
            f"update the driver, or {mend} --cuda {found.cuda.partition('.')[0]}"
        )
    registry = flavour.module.get_plugin_registry()
    handle = registry.load_library(str(library))
    if registry.get_creator(spec.NAME, str(spec.VERSION), spec.DOMAIN) is None:
        raise FdcnError(f"{library} has no {spec.DOMAIN}::{spec.NAME} of version {spec.VERSION}; {mend}")
    return handle
