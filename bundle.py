"""A bundle: one folder with a manifest, the exported graphs and the engines built from them.

Files are written into a folder of their own and become part of the bundle when `manifest.json` is replaced, which is
one atomic rename: a killed command leaves the old bundle or the new one. Every file is listed with its size and
sha256, external weights included, and is checked before it is used.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
import typing
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fdcn import records
from fdcn.errors import FdcnError
from fdcn.messages import say

FORMAT = 1
MANIFEST = "manifest.json"
KINDS = ("graphs", "engine", "calibration")
OPTIONS = {"float16": "--fp16", "bfloat16": "--bf16", "int8": "--int8", "fp8": "--fp8"}
"""Of `fdcn build`, for each precision but float32."""
QUANTISED = ("int8", "fp8")
"""Precisions that take a calibration; FP8 is E4M3."""
AT_MOST = 999_999_999
"""Of every number of a manifest that a run calculates with, sides in pixels among them,"""
BLOCKS_AT_MOST = 1_000
"""and of the network's blocks."""
_TEMPORARY = ".incoming-"
_ABANDONED_AFTER = 3600.0
"""Seconds after which a temporary folder is no longer somebody else's unfinished work."""


@dataclasses.dataclass(frozen=True)
class File:
    """Size and content of one file of the bundle."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Model:
    """What the runtime must know of the network; `architecture` has every number that the checkpoint implied."""

    family: str
    architecture: dict[str, int]
    blocks: int
    channels: int
    classes: int
    patch: int
    parameters: int
    weights: str
    """"ema" or "raw"."""
    weights_sha256: str


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Defaults of `fdcn run` for this model, and the S_max rule's constants."""

    solver: str
    steps: int
    guidance: float
    reach: float
    """S_max in training, in token pixels."""
    s_max_adjust: bool


@dataclasses.dataclass(frozen=True)
class Memory:
    """About the most memory that activations take, in bytes, in float32."""

    token: int
    """In the denoiser, a token."""
    pixel: int
    """In the decoder, a pixel."""
    latent_pair: int
    """In the decoder, a pair of latent elements: its attention's scores."""


@dataclasses.dataclass(frozen=True)
class Graph:
    """One exported graph: its ONNX file and the files with its weights, as paths inside the bundle."""

    file: str
    data: list[str]


@dataclasses.dataclass(frozen=True)
class Extent:
    """A size of the network's input; in text WIDTHxHEIGHTxBATCH."""

    width: int
    """In pixels, like every size in a manifest."""
    height: int
    batch: int
    """Rows of the network: a guided picture takes two."""

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.batch}"


@dataclasses.dataclass(frozen=True)
class Profile:
    """Sizes that an engine takes, each number for itself, and the one it is tuned for; in text MIN:OPT:MAX."""

    min: Extent
    opt: Extent
    max: Extent

    def __str__(self) -> str:
        return f"{self.min}:{self.opt}:{self.max}"

    def holds(self, extent: Extent) -> bool:
        """Whether width, height and batch all lie within the profile, ends included."""
        low, wanted, high = map(dataclasses.astuple, (self.min, extent, self.max))
        return all(a <= b <= c for a, b, c in zip(low, wanted, high, strict=True))


@dataclasses.dataclass(frozen=True)
class Plugin:
    """What runs the operator in a TensorRT engine."""

    kind: str
    """"library", "python", "aot", or "none": then the operator is its function of standard operators."""
    version: int
    """Of the operator's contract."""
    sha256: str | None
    """Of the library's file, or of the source and kernel in Python; None where there is no plugin."""
    file: str | None
    """Path of the library inside the bundle. It is code: nothing loads it unasked."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What a TensorRT engine was built with and for. It loads with the same flavour and version alone."""

    flavour: str
    """"tensorrt" or "tensorrt-rtx"."""
    version: str
    compute: list[str]
    """Architectures it runs on, as sm_86."""
    cuda: str
    """CUDA version of the flavour's library."""
    driver: str | None
    """NVIDIA driver of the building machine, where it built for itself."""
    precision: str
    """"float32", "float16" or "bfloat16"; or "int8" or "fp8", then all but the quantised products is float16."""
    profiles: list[Profile]
    """In the order of the engine's own profiles. The conditioner has a single one, which its engine states."""
    plugin: Plugin
    onnx_sha256: dict[str, str]
    """For each graph, of the portable ONNX file and its weights that it was built from."""
    workspace: int | None
    """Most scratch memory of a layer, in bytes, if that was limited."""
    refittable: bool
    """Whether weights can be exchanged without building it again."""
    made_from: str
    """Hash of all that the engine depends on: a build with the same one has nothing to do."""

    def options(self) -> str:
        """Options of `fdcn build` that make it again; without --gpu on a machine of its architecture."""
        words = [OPTIONS[self.precision]] if self.precision in OPTIONS else []
        words += ["--gpu", ",".join(self.compute)] if self.flavour == "tensorrt-rtx" else []
        words += [f"--profile {profile}" for profile in self.profiles]
        words += ["--plugin", self.plugin.kind]
        words += ["--workspace", str(self.workspace >> 20)] if self.workspace is not None else []
        return " ".join([*words, *["--refit"][: self.refittable]])


@dataclasses.dataclass(frozen=True)
class StepGroup:
    """Steps that a graph of an engine is for."""

    until: float
    """The last time t of the group, inclusive; that of the last group is 1."""
    graph: str
    """Its name in the engine's `graphs`: "denoiser" for the first group."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """Graphs prepared for one backend. They are used only where `key` is what the machine asks for.

    A bundle has at most one engine of a backend and key. The graphs of a TensorRT engine are serialised engines,
    without data files, and its key is `engine_key` of its target.
    """

    backend: str
    key: str
    graphs: dict[str, Graph]
    target: Target | None = None
    """For TensorRT."""
    step_groups: list[StepGroup] = dataclasses.field(default_factory=list)
    """By ascending `until`, where other graphs than "denoiser" run at some steps; empty where it runs at all."""
    recipe_sha256: str | None = None
    """Of the file of the recipe that its denoisers were quantised by."""

    @property
    def precision(self) -> str:
        """What its matrix products compute in, which ends its key; ONNX Runtime's float32 goes unsaid there."""
        last = self.key.rpartition("-")[2]
        return last if last in ("float32", *OPTIONS) else "float32"


def engine_key(target: Target) -> str:
    """Names a TensorRT engine in its bundle by flavour, version, architectures and precision."""
    return "-".join([target.flavour, target.version, *target.compute, target.precision])


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `fdcn calibrate` measured on real trajectories of a model, and what followed from it."""

    weights_sha256: str
    """Of the model that was measured."""
    samples: int
    sizes: list[list[int]]
    """(width, height) in pixels."""
    solver: str
    steps: int
    guidance: float
    seed: int
    statistics: str
    """The file, inside the bundle, of `calib.statistics`."""
    recipes: dict[str, str]
    """By precision, "int8" and "fp8": the file, inside the bundle, of `export.recipe`."""

    def paths(self) -> list[str]:
        """Its files."""
        return [self.statistics, *self.recipes.values()]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All of `manifest.json`. Sizes are (width, height) in pixels."""

    format: int
    fdcn: str
    model: Model
    sampling: Sampling
    memory: Memory
    operator: str
    """Domain, name and version of the custom operator, as fdcn::MultiScaleDCN-1."""
    train_size: list[int]
    mixed_aspect: bool
    fixed_size: list[int] | None
    """The only size that the graphs take, or None where they are dynamic."""
    pixel_factor: int
    """Pixels a latent element stands for: 1 in pixel space, 8 with the usual VAE."""
    class_names: list[str] | None
    graphs: dict[str, Graph]
    engines: list[Engine]
    files: dict[str, File]
    calibration: Calibration | None = None

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    def paths(self) -> set[str]:
        """Paths of every file that graphs, engines and the calibration name."""
        graphs = [*self.graphs.values(), *(g for engine in self.engines for g in engine.graphs.values())]
        plugins = [engine.target.plugin.file for engine in self.engines if engine.target]
        measured = self.calibration.paths() if self.calibration else []
        every = [*(path for graph in graphs for path in (graph.file, *graph.data)), *plugins, *measured]
        return {path for path in every if path}


class Bundle:
    """An opened bundle. `manifest` is what it says; `file` gives checked paths."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._verified: set[str] = set()

    @classmethod
    def open(cls, path: str | Path) -> "Bundle":
        """Read a bundle's manifest. Raises FdcnError where there is none, or one this version cannot read."""
        path = Path(path)
        try:
            content = records.read_json((path / MANIFEST).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            there = path.exists()
            raise FdcnError(say("bundle.not_a_bundle" if there else "bundle.does_not_exist", path=path)) from None
        except OSError as error:
            raise FdcnError(say("bundle.unreadable", file=path / MANIFEST, reason=error.strerror)) from error
        except ValueError as error:
            raise _damaged(path, say("bundle.not_json")) from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise FdcnError(say("bundle.format", path=path, found=repr(found), reads=FORMAT))
        try:
            manifest = records.parse(Manifest, content, "manifest")
            _check_numbers(manifest)
            _check_all_graphs(manifest)
        except records.Malformed as error:
            raise _damaged(path, str(error)) from error
        unlisted = sorted(manifest.paths() - manifest.files.keys())
        if unlisted:
            raise _damaged(path, say("bundle.unlisted", file=unlisted[0]))
        return cls(path, manifest)

    def file(self, name: str) -> Path:
        """Path of one file after checking its size and sha256, once an opened bundle."""
        path, wanted = self.path / name, self.manifest.files[name]
        if name in self._verified:
            return path
        maker = self._maker(name)
        try:
            size = path.stat().st_size
        except OSError:
            raise FdcnError(say("bundle.file_missing", file=path, maker=maker)) from None
        if size != wanted.bytes:
            raise FdcnError(say("bundle.file_size", file=path, found=size, wanted=wanted.bytes, maker=maker))
        try:
            found = sha256(path)
        except OSError as error:
            raise FdcnError(say("bundle.unreadable", file=path, reason=error.strerror)) from error
        if found != wanted.sha256:
            said = wanted.sha256[:12]
            raise FdcnError(say("bundle.file_changed", file=path, found=found[:12], wanted=said, maker=maker))
        self._verified.add(name)
        return path

    def _maker(self, name: str) -> str:
        """The command that makes a file."""
        if any(name in (graph.file, *graph.data) for graph in self.manifest.graphs.values()):
            return "export"
        return "calibrate" if self.manifest.calibration and name in self.manifest.calibration.paths() else "build"

    def with_engines(self, *engines: Engine) -> "Bundle":
        """The same bundle with no engines but these, as if nothing else had been built."""
        return Bundle(self.path, dataclasses.replace(self.manifest, engines=list(engines)))

    def with_newest(self, engine: Engine) -> "Bundle":
        """The bundle with one of its engines the newest, which is the last; written where it was not."""
        if self.manifest.engines[-1] == engine:
            return self
        engines = [*(each for each in self.manifest.engines if each != engine), engine]
        manifest = dataclasses.replace(self.manifest, engines=engines)
        _replace_text(self.path / MANIFEST, manifest.to_json())
        return Bundle(self.path, manifest)

    def graph(self, graph: Graph) -> Path:
        """Path of a graph's ONNX file after checking it and its weights."""
        for data in graph.data:
            self.file(data)
        return self.file(graph.file)


def _damaged(path: Path, reason: str) -> FdcnError:
    return FdcnError(say("bundle.damaged", file=path / MANIFEST, reason=reason))


def _check_numbers(manifest: Manifest) -> None:
    """Raise Malformed for numbers that no model has, since a run calculates with them."""
    model, memory = manifest.model, manifest.memory
    records.check_range(model.blocks, 1, BLOCKS_AT_MOST, "manifest.model.blocks")
    for name in ("channels", "classes", "patch"):
        records.check_range(getattr(model, name), 1, AT_MOST, f"manifest.model.{name}")
    records.check_range(manifest.pixel_factor, 1, AT_MOST, "manifest.pixel_factor")
    for name, least in (("token", 1), ("pixel", 0), ("latent_pair", 0)):
        records.check_range(getattr(memory, name), least, AT_MOST, f"manifest.memory.{name}")
    for name in ("train_size", "fixed_size"):
        if (size := getattr(manifest, name)) is not None:
            records.check_length(size, 2, f"manifest.{name}")
            for i, side in enumerate(size):
                records.check_range(side, 1, AT_MOST, f"manifest.{name}[{i}]")
    if manifest.class_names is not None:
        records.check_length(manifest.class_names, model.classes, "manifest.class_names")
    for e, engine in enumerate(manifest.engines):
        for p, profile in enumerate(engine.target.profiles if engine.target else ()):
            for name in ("min", "opt", "max"):
                for side, number in dataclasses.asdict(getattr(profile, name)).items():
                    where = f"manifest.engines[{e}].target.profiles[{p}].{name}.{side}"
                    records.check_range(number, 1, AT_MOST, where)


def _check_all_graphs(manifest: Manifest) -> None:
    """Raise Malformed where a graph that a run may ask for is missing; of TensorRT's, opening an engine says so."""
    always = {"conditioner", "denoiser"}
    _check_graphs(manifest.graphs, always, "manifest.graphs")
    for e, engine in enumerate(manifest.engines):
        host = engine.backend == "onnxruntime"
        needed = always | {group.graph for group in engine.step_groups} if host else set()
        _check_graphs(engine.graphs, needed, f"manifest.engines[{e}].graphs")


def _check_graphs(graphs: dict[str, Graph], needed: set[str], where: str) -> None:
    for name in sorted(needed - graphs.keys()):
        raise records.Malformed(say("record.missing", where=where, name=records.shown(name)))
    for name, graph in sorted(graphs.items()):
        place = f"{where}.{records.shown(name)}"
        if not graph.file:
            raise records.Malformed(say("record.missing_value", where=f"{place}.file"))
        for d, path in enumerate(graph.data):
            if not path:
                raise records.Malformed(say("record.missing_value", where=f"{place}.data[{d}]"))


class Draft:
    """Files on their way into a bundle. Nothing of it is seen until `commit`."""

    def __init__(self, bundle: Path, folder: str, temporary: Path) -> None:
        self._bundle, self._folder, self.path = bundle, folder, temporary
        self._files: dict[str, File] = {}

    def inside(self, name: str) -> str:
        """The path, inside the bundle, that a file written to `self.path / name` will have."""
        return str(PurePosixPath(self._folder) / name)

    def file(self, path: str) -> File:
        """Size and hash of a finished file by its path inside the bundle: read once, so it must not change after."""
        if path not in self._files:
            written = self.path / PurePosixPath(path).relative_to(self._folder)
            self._files[path] = File(written.stat().st_size, sha256(written))
        return self._files[path]

    def copy(self, bundle: Bundle, graph: Graph, folder: str = "") -> Graph:
        """Copy a graph of a bundle, checked, into a folder of the draft. Names stay: a graph names its weights."""
        bundle.graph(graph)
        file, *data = (self._copy_file(bundle, path, folder) for path in (graph.file, *graph.data))
        return Graph(file, data)

    def copy_engine(self, bundle: Bundle, engine: Engine, folder: str) -> Engine:
        """Copy an engine of a bundle, checked, into a folder of the draft."""
        graphs = {name: self.copy(bundle, graph, folder) for name, graph in engine.graphs.items()}
        target = engine.target
        if target and target.plugin.file:
            plugin = dataclasses.replace(target.plugin, file=self._copy_file(bundle, target.plugin.file, folder))
            target = dataclasses.replace(target, plugin=plugin)
        return dataclasses.replace(engine, graphs=graphs, target=target)

    def copy_calibration(self, bundle: Bundle, calibration: Calibration, folder: str) -> Calibration:
        """Copy a calibration of a bundle, checked, into a folder of the draft."""
        recipes = {name: self._copy_file(bundle, path, folder) for name, path in calibration.recipes.items()}
        statistics = self._copy_file(bundle, calibration.statistics, folder)
        return dataclasses.replace(calibration, statistics=statistics, recipes=recipes)

    def _copy_file(self, bundle: Bundle, path: str, folder: str) -> str:
        name = PurePosixPath(folder, PurePosixPath(path).name)
        (self.path / folder).mkdir(exist_ok=True)
        shutil.copyfile(bundle.file(path), self.path / name)
        return self.inside(str(name))

    def commit(self, manifest: Manifest) -> Bundle:
        """Move the files in and replace the manifest. `manifest.files` is completed from what was written."""
        files = dict(manifest.files)
        for path in sorted(p for p in self.path.rglob("*") if p.is_file()):
            path.chmod(0o644)  # onnx writes external data 0600
            inside = self.inside(path.relative_to(self.path).as_posix())
            files[inside] = self.file(inside)
        named = manifest.paths()
        manifest = dataclasses.replace(manifest, files={name: files[name] for name in sorted(named)})
        self.path.chmod(0o755)
        os.replace(self.path, self._bundle / self._folder)
        _replace_text(self._bundle / MANIFEST, manifest.to_json())
        _sweep(self._bundle, manifest)
        return Bundle(self._bundle, manifest)


@contextlib.contextmanager
def drafting(bundle: Path, kind: str) -> Iterator[Draft]:
    """A draft for a bundle that may not exist yet; what it holds is dropped unless it is committed.

    `kind`, one of `KINDS`, starts the name of the folder that the files will be in; the rest is never used twice.

    Raises FdcnError where the folder cannot be written, or the disk is full.
    """
    created = not bundle.exists()
    try:
        bundle.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=bundle))
    except OSError as error:
        raise FdcnError(say("bundle.folder_unwritable", path=bundle, reason=error.strerror)) from error
    try:
        yield Draft(bundle, f"{kind}-{secrets.token_hex(4)}", temporary)
    except OSError as error:
        raise FdcnError(say("bundle.write_failed", path=bundle, reason=error.strerror or error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if created and not (bundle / MANIFEST).exists():
            with contextlib.suppress(OSError):
                bundle.rmdir()


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def replace_file(path: Path, write: typing.Callable[[typing.BinaryIO], object]) -> None:
    """Write a file whole or not at all: to a temporary name beside it, then renamed.

    Raises FdcnError where that cannot be done.
    """
    temporary = path.parent / f".fdcn-{secrets.token_hex(8)}"  # short, whatever the file's own name is
    try:
        file = temporary.open("xb")  # as the umask says, which tempfile's are not
    except OSError as error:
        raise FdcnError(say("file.cannot_create", file=path, reason=error.strerror)) from error
    try:
        with file:
            write(file)
        os.replace(temporary, path)
    except OSError as error:
        raise FdcnError(say("file.cannot_write", file=path, reason=error.strerror or error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _replace_text(path: Path, text: str) -> None:
    replace_file(path, lambda file: file.write(text.encode()))


def _sweep(bundle: Path, manifest: Manifest) -> None:
    """Remove what the new manifest no longer names, and what killed commands left behind."""
    keep = {bundle / name for name in manifest.files}
    folders = {parent for path in keep for parent in path.parents}
    for folder in [p for p in bundle.rglob("*") if p.is_dir() and not p.is_symlink()]:
        if folder.name.startswith(_TEMPORARY) and folder.parent == bundle:
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(folder, ignore_errors=True)
        elif folder not in folders and _is_ours(folder, bundle):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path, bundle: Path) -> bool:
    """Only folders that fdcn makes are swept: a user may keep other things in a bundle."""
    return folder.relative_to(bundle).parts[0].startswith(tuple(f"{kind}-" for kind in KINDS))
