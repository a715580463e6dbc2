"""What a TensorRT engine is to be: options, this machine and what is installed, put together and hashed."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fdcn import __version__, gpu, plugins
from fdcn.bundle import OPTIONS, QUANTISED, Bundle, File, Graph, Plugin, Profile, Target, sha256
from fdcn.errors import FdcnError
from fdcn.export import profiles, quantised
from fdcn.plugins import flavours, libraries, nvrtc, spec, tensorrt_plugin
from fdcn.plugins.flavours import Flavour

FLAVOURS = ("tensorrt", "tensorrt-rtx")
PLUGINS = ("auto", "library", "python", "aot", "none")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a build."""

    precision: str = "float32"
    """As in `bundle.Target`."""
    compute: tuple[str, ...] = ()
    """Architectures of the machines to build for, as sm_86; none for the GPU of this one."""
    flavour: str | None = None
    """None for the one that fits: RTX for other machines, and here TensorRT where both are installed."""
    plugin: str = "auto"
    profiles: tuple[Profile, ...] = ()
    workspace: int | None = None
    """Most scratch memory of a layer, in bytes; None for no limit."""
    refit: bool = False
    """Whether `fdcn update` can exchange the engine's weights."""


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A target and what building it takes."""

    target: Target
    compute: list[str]
    """The architectures that the options name; none for the GPU of this machine."""
    library: Path | None
    """The plugin library; None for every other kind of plugin."""
    found: quantised.Found | None = None
    """The recipe that the denoiser is quantised by, where it is."""


def resolve(bundle: Bundle, options: Options) -> Resolved:
    """Settle what options leave open.

    Raises FdcnError where there is no TensorRT, or not the flavour asked for; no GPU, or none that the flavour builds
    for, or one without the precision; no plugin of the kind asked for; an impossible profile; or no calibration.
    """
    device = gpu.first() if options.refit or not options.compute else None
    compute = list(options.compute) or ([device.compute] if device else [])
    if not compute:
        example = f"--gpu sm_{max(86, gpu.FIRST.get(options.precision, 0))}"
        raise FdcnError(f"no NVIDIA GPU here; name the architecture of the machine to build for, as {example}")
    flavour = _flavour(options)
    if options.refit and device is None:
        raise FdcnError("--refit needs a GPU here: TensorRT-RTX lays out refittable weights on one; leave --refit out")
    flavours.check_compute(flavour, options.compute)
    check_precision(options.precision, compute)
    found = quantised.find(bundle, options.precision) if options.precision in QUANTISED else None
    if found and options.refit:
        raise FdcnError(f"other weights need another calibration: leave --refit out with {OPTIONS[options.precision]}")
    kind, library = find_plugin(flavour, options.plugin)
    target = Target(
        flavour=flavour.name,
        version=flavour.version,
        compute=compute,
        cuda=flavour.cuda,
        driver=device.driver if device else None,
        precision=options.precision,
        profiles=profiles.resolve(bundle.manifest, options.profiles),
        plugin=Plugin(kind, spec.VERSION, _plugin_hash(kind, library), None),
        onnx_sha256=graph_hashes(bundle.manifest.graphs, bundle.manifest.files.__getitem__),
        workspace=options.workspace,
        refittable=options.refit,
        made_from="",
    )
    target = dataclasses.replace(target, made_from=made_from(target, found.sha256 if found else None))
    return Resolved(target, list(options.compute), library, found)


def check_precision(precision: str, compute: Iterable[str]) -> None:
    """Raise FdcnError where an architecture does not multiply in a precision, with what it does multiply in."""
    for name in compute:
        if not gpu.has_precision(name, precision):
            able = [OPTIONS[each] for each in (*QUANTISED, "float16") if gpu.has_precision(name, each)]
            raise FdcnError(
                f"{name} has no {precision.upper()}, which GPUs have from sm_{gpu.FIRST[precision]} on; "
                f"build for it with {' or '.join(able)}"
            )


def graph_hashes(graphs: Mapping[str, Graph], file: Callable[[str], File]) -> dict[str, str]:
    """Hash of each graph's file and weights, from the hashes of its files."""
    contents = {name: [file(path).sha256 for path in (graph.file, *graph.data)] for name, graph in graphs.items()}
    return {name: hashlib.sha256("\n".join(hashes).encode()).hexdigest() for name, hashes in contents.items()}


def made_from(target: Target, recipe_sha256: str | None = None) -> str:
    """Hash of what an engine depends on, today's code included: the driver of the building machine is no part of it.

    `recipe_sha256` is that of the recipe's file, where there is one.
    """
    plugin = dataclasses.replace(target.plugin, file=None)
    told = dataclasses.asdict(dataclasses.replace(target, driver=None, plugin=plugin, made_from=""))
    return hashlib.sha256(
        json.dumps([told, recipe_sha256, _sources(), __version__], sort_keys=True).encode()
    ).hexdigest()


def _flavour(options: Options) -> Flavour:
    if options.compute:
        if options.flavour == "tensorrt":
            raise FdcnError("TensorRT builds for the GPU it runs on; leave --gpu out, or take --flavour tensorrt-rtx")
        return flavours.load("tensorrt-rtx")
    if options.flavour:
        return flavours.load(options.flavour)
    found = {flavour.name: flavour for flavour in flavours.available()}
    best = next((found[name] for name in FLAVOURS if name in found), None)
    return best or flavours.load(FLAVOURS[0])  # which says how to install it


def find_plugin(flavour: Flavour, asked: str) -> tuple[str, Path | None]:
    """The kind of plugin and its library. "auto" takes the library where it is built, else what Python can compile."""
    library = libraries.find("tensorrt") if asked in ("auto", "library") else None
    if library is not None:
        return "library", library
    if asked == "library":
        return "library", libraries.build("tensorrt")
    if asked == "auto":
        return ("python" if tensorrt_plugin.can_compile() else "none"), None
    return asked, None


def _plugin_hash(kind: str, library: Path | None) -> str | None:
    if kind == "none":
        return None
    return sha256(library) if library else _plugin_sources()


@functools.cache
def _sources() -> str:
    """Hash of the code that turns graphs into engines."""
    here, theirs = Path(__file__).parent, Path(plugins.__file__).parent
    files = [*here.glob("tensorrt_*.py"), *here.glob("passes/*.py")]
    files += [here / name for name in ("products.py", "profiles.py", "quantised.py", "scales.py")]
    return _digest([*files, *(theirs / name for name in ("flavours.py", "function.py", "spec.py"))])


@functools.cache
def _plugin_sources() -> str:
    """Hash of the plugin in Python and of the kernel that it compiles."""
    theirs = Path(plugins.__file__).parent
    native = [nvrtc.SOURCES / name for name in (nvrtc.SOURCE, *nvrtc.HEADERS)]
    python = [theirs / name for name in ("contract.py", "gpu_launch.py", "nvrtc.py")]
    return _digest([*native, *python, *theirs.glob("tensorrt_*.py")])


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
