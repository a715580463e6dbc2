"""What this machine has of the things fdcn can use, what each missing one would give, and how to get it.

Nothing heavy is imported: a package's version is read from its metadata, and the NVIDIA driver is asked directly.
ONNX Runtime alone is imported, since only that shows whether its library loads and what it can run on.
"""

import contextlib
import ctypes.util
import dataclasses
import itertools
import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

import click

from fdcn import __version__, gpu
from fdcn.plugins import libraries

GROUPS = {
    "run": "Pictures on ONNX Runtime",
    "export": "Export of checkpoints",
    "gpu": "Engines for NVIDIA GPUs",
    "serve": "Serving over HTTP",
}
"""What a machine can be able to do: the name in JSON and the heading in print."""

TENSORRT = ("TensorRT", "TensorRT for RTX")
"""Parts of which one is enough."""

_CORE = "pip install fdcn"
_EXPORT = "pip install 'fdcn[export]'"
_SERVE = "pip install 'fdcn[serve]'"
_DRIVER = "install NVIDIA's driver on a machine with one of its GPUs"


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing that fdcn can use."""

    name: str
    group: str
    """One of `GROUPS`."""
    found: str | None
    """Its version, and for some what else was seen of it; None where it is missing or does not work."""
    gives: str
    install: str
    """How to get it; begins with what is wrong where something is."""
    required: bool = False
    """Whether nothing in its group works without it."""


def examine() -> list[Part]:
    """Look for every part, in the order in which they are printed."""
    return [
        _package("NumPy", "numpy", "run", "the sampler", _CORE, required=True),
        _package("click", "click", "run", "the command line", _CORE, required=True),
        _package("Pillow", "PIL", "run", "picture files", _CORE, required=True, distributions=("pillow",)),
        _package("rich", "rich", "run", "progress bars and tables", _CORE, required=True),
        _onnxruntime(),
        _native("ops", "Native operator", "run", "a faster operator on the CPU", "make ops, in fdcn's source tree"),
        _package("PyTorch", "torch", "export", "reading checkpoints, tracing networks", _EXPORT, required=True),
        _package("ONNX", "onnx", "export", "checking graphs", _EXPORT, required=True),
        _package("ONNX Script", "onnxscript", "export", "writing graphs", _EXPORT, required=True),
        _package("safetensors", "safetensors", "export", ".safetensors checkpoints", _EXPORT, required=True),
        _package("Diffusers", "diffusers", "export", "latent models (export --vae)", "pip install 'fdcn[vae]'"),
        _package("Numba", "numba", "export", "training on every core", "pip install 'fdcn[train]'"),
        _gpu(),
        _package(
            TENSORRT[0],
            "tensorrt",
            "gpu",
            "engines for this machine's GPU",
            "pip install tensorrt",
            distributions=("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        ),
        _package(
            TENSORRT[1],
            "tensorrt_rtx_bindings",
            "gpu",
            "engines for named GPUs, built with no GPU at hand",
            "pip install 'fdcn[rtx]'",
            distributions=("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu12-bindings"),
        ),
        _tensorrt_root(),
        _native(
            "tensorrt", "TensorRT plugin", "gpu", "engines that C++ programs load", "make plugin, in fdcn's source tree"
        ),
        _package("CUDA bindings", "cuda.bindings", "gpu", "GPU memory and streams", "pip install 'fdcn[gpu]'"),
        _nvrtc(),
        _package("FastAPI", "fastapi", "serve", "the HTTP server's application", _SERVE, required=True),
        _package("uvicorn", "uvicorn", "serve", "the HTTP server", _SERVE, required=True),
        _package("httptools", "httptools", "serve", "reading requests", _SERVE, required=True),
        _package("prometheus-client", "prometheus_client", "serve", "the server's metrics", _SERVE, required=True),
        _package("uvloop", "uvloop", "serve", "a faster event loop", _SERVE),
        _package("Ray", "ray", "serve", "many machines (serve --ray, sample --ray)", "pip install 'fdcn[ray]'"),
    ]


def abilities(parts: Sequence[Part]) -> dict[str, bool]:
    """For each of `GROUPS`, whether this machine has what that needs."""
    able = {group: all(part.found for part in parts if part.required and part.group == group) for group in GROUPS}
    able["gpu"] = able["gpu"] and any(part.found for part in parts if part.name in TENSORRT)
    return able


def healthy(parts: Sequence[Part]) -> bool:
    """Whether this machine can make pictures now."""
    return abilities(parts)["run"]


def as_json(parts: Sequence[Part]) -> dict[str, Any]:
    """The examination as plain data: `healthy`, `can` by group, the versions of all else, and every part."""
    return {
        "healthy": healthy(parts),
        "can": abilities(parts),
        **_environment(),
        "parts": [dataclasses.asdict(part) for part in parts],
    }


def report(parts: Sequence[Part]) -> str:
    """The examination as text with terminal colours, a paragraph a group."""
    width = max(len(part.name) for part in parts)
    lines = ["fdcn {fdcn}, Python {python}, {system}".format_map(_environment())]
    for group, able in abilities(parts).items():
        verdict = click.style("ready", fg="green") if able else click.style("not on this machine", fg="yellow")
        lines += ["", f"{click.style(GROUPS[group], bold=True)}: {verdict}"]
        own = [part for part in parts if part.group == group]
        for install, together in itertools.groupby(own, lambda part: None if part.found else part.install):
            lines += [_line(part, width) for part in together]
            if install:
                lines.append(f"{'':{width + 13}}{install}")
    return "\n".join(lines)


def print_report(parts: Sequence[Part]) -> None:
    """Print the report, without colours where the output is no terminal."""
    click.echo(report(parts))


def _line(part: Part, width: int) -> str:
    colour = "green" if part.found else "red" if part.required else "yellow"
    mark = click.style("ok     " if part.found else "missing", fg=colour)
    return f"  {mark}  {part.name:{width}}  {part.found or f'for {part.gives}:'}"


def _environment() -> dict[str, str]:
    return {
        "fdcn": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _version(*distributions: str) -> str | None:
    for distribution in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return None


def _package(
    name: str,
    module: str,
    group: str,
    gives: str,
    install: str,
    *,
    required: bool = False,
    distributions: Sequence[str] = (),
) -> Part:
    """A Python package: found where its module can be, with the version of the first distribution installed."""
    try:
        present = util.find_spec(module) is not None
    except (ImportError, ValueError):  # no parent for a dotted name, or a module that was shut out on purpose
        present = False
    version = _version(*(distributions or [module.replace(".", "-")])) or "of unknown version"
    return Part(name, group, version if present else None, gives, install, required)


def _onnxruntime() -> Part:
    found, install = None, _CORE
    try:
        import onnxruntime

        providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
        found = f"{onnxruntime.__version__} ({providers})"
    except ModuleNotFoundError:
        pass
    except Exception as error:  # noqa: BLE001 -- a library that does not load fails in many ways
        install = f"it does not load ({' '.join(str(error).split())}): pip install --force-reinstall onnxruntime"
    return Part("ONNX Runtime", "run", found, "running graphs", install, required=True)


def _native(kind: str, name: str, group: str, gives: str, install: str) -> Part:
    path = libraries.find(kind)
    return Part(name, group, str(path) if path else None, gives, install)


def _gpu() -> Part:
    found, install = None, _DRIVER
    try:
        devices = gpu.devices()
        named = [f"{d.name}, {d.compute}, {d.memory / 2**30:.0f} GiB, CUDA {d.cuda}" for d in devices]
        found = "; ".join(named) + (f"; driver {devices[0].driver}" if devices[0].driver else "")
    except OSError as error:
        install = f"{error}: {_DRIVER}"
    return Part("NVIDIA GPU", "gpu", found, "running engines", install, required=True)


def _tensorrt_root() -> Part:
    """TensorRT's headers, in the folder that TENSORRT_ROOT names."""
    root = os.environ.get("TENSORRT_ROOT")
    found, install = None, "unpack NVIDIA's TensorRT archive and set TENSORRT_ROOT to its folder"
    if root:
        try:
            text = Path(root, "include", "NvInferVersion.h").read_text(encoding="utf-8", errors="replace")
            # TRT_MAJOR_ENTERPRISE or TRT_MAJOR_RTX; NV_TENSORRT_MAJOR is one of those, or in older ones a number.
            numbers = re.findall(r"^#define (?:TRT|NV_TENSORRT)_(?:MAJOR|MINOR|PATCH)\w* (\d+)", text, re.MULTILINE)
            found = f"{'.'.join(numbers[:3]) or 'of unknown version'} in {root}"
        except OSError:
            install = f"TENSORRT_ROOT is {root}, which has no include/NvInferVersion.h: {install}"
    return Part("TensorRT headers", "gpu", found, "the plugin and the runtime in C++", install)


def _nvrtc() -> Part:
    names = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu13", "nvidia-cuda-nvrtc-cu12")
    found = _version(*names) or ctypes.util.find_library("nvrtc")
    return Part("NVRTC", "gpu", found, "compiling kernels for this machine's GPU", "pip install nvidia-cuda-nvrtc")
