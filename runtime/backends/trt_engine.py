"""An engine of a bundle, loaded on a GPU: its graphs, their profiles, and what all that runs shares."""

import contextlib
import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fdcn.bundle import Bundle, Engine, Extent, Plugin, Profile, StepGroup
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu
from fdcn.messages import say
from fdcn.plugins import flavours, libraries, tensorrt_plugin
from fdcn.plugins.flavours import Flavour
from fdcn.runtime.backends.device import Buffer, Device
from fdcn.runtime.backends.profiles import around, fit, nearest
from fdcn.runtime.backends.trt_graph import SCRATCH_AT_LEAST, Log, TrtGraph


class TrtEngine:
    """One engine. All graphs share a stream and their scratch memory, so work is given to them in `turn`.

    `operator` is what `choice.operator` says. Raises FdcnError where a file is damaged, TensorRT refuses it, it is not
    what the manifest says, or the GPU's memory does not suffice.
    """

    def __init__(self, bundle: Bundle, engine: Engine, gpu: Gpu, operator: str) -> None:
        assert engine.target is not None
        self.manifest = bundle.manifest
        self._path, self._target = bundle.path, engine.target
        flavour = flavours.load(self._target.flavour)
        self.step_groups: Sequence[StepGroup] = engine.step_groups
        if not {"conditioner", "denoiser", *(group.graph for group in self.step_groups)} <= engine.graphs.keys():
            key, command = engine.key, self.command()
            raise FdcnError(say("tensorrt.lacks_graph", key=key, bundle=bundle.path, command=command))
        files = {name: bundle.graph(graph) for name, graph in engine.graphs.items()}
        self._lock = threading.Lock()
        self.graphs: dict[str, TrtGraph] = {}
        self.device = Device(gpu.index)
        with self.device.current(), contextlib.ExitStack() as closing:
            closing.callback(self.device.close)
            _register(bundle, flavour, self._target.plugin, operator)
            self.trt = flavour.module
            log = Log(self.trt)
            self._runtime = self.trt.Runtime(log.logger)
            scratch = Buffer(self.device, "the network's activations")
            closing.callback(scratch.release)
            for name, file in files.items():
                self.graphs[name] = TrtGraph(name, file, self.trt, self._runtime, log, self.device)
                closing.callback(self.graphs[name].close)
            self.profiles = {name: self._read_profiles(name) for name in files if name != "conditioner"}
            self._check_profiles(files)
            scratch.reserve(max(SCRATCH_AT_LEAST, *(graph.scratch_size() for graph in self.graphs.values())))
            for graph in self.graphs.values():
                graph.share(scratch)
            # Contexts, engines, memory, stream. A plugin's code stays in the process whatever happens, since TensorRT
            # keeps pointers into it.
            self._closing = closing.pop_all()
        self.name = say(
            "tensorrt.name",
            library=flavour,
            gpu=gpu.name,
            architecture=gpu.compute,
            precision=self._target.precision,
            plugin=_plugin(operator),
        )
        edges = [self.graphs["conditioner"].shape(output) for output in self.graphs["conditioner"].outputs]
        self.conditioning_bytes = sum(4 * math.prod(edge[1:]) for edge in edges)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """For the time of a block, be the one thread that gives work to the graphs, on their device."""
        with self._lock, self.device.current():
            yield

    def before_closing(self, close: Callable[[], None]) -> None:
        """What is to be closed before the engine is."""
        self._closing.callback(close)

    def close(self) -> None:
        """Give everything back, the newest first; nothing is running. Closing twice is fine."""
        with self.device.current():
            self._closing.close()

    def fitting(self, graph: str, rows: int, latent: tuple[int, int]) -> tuple[int, list[slice]]:
        """The profile in which a graph takes latents of (height, width), and the parts that `rows` of them go in.

        Raises FdcnError, with the command that adds one, where no profile holds the size.
        """
        found = self.fit(graph, rows, latent)
        if found is None:
            raise self.outside(graph, self.extent(rows, latent))
        return found

    def fit(self, graph: str, rows: int, latent: tuple[int, int]) -> tuple[int, list[slice]] | None:
        """The same; None where no profile holds the size."""
        return fit(self.profiles[graph], self.extent(rows, latent))

    def extent(self, rows: int, latent: tuple[int, int]) -> Extent:
        """`rows` latents of (height, width) as profiles count them."""
        factor = self.manifest.pixel_factor
        return Extent(latent[1] * factor, latent[0] * factor, rows)

    def outside(self, graph: str, wanted: Extent) -> FdcnError:
        """What to say of something that no profile holds."""
        return FdcnError(
            say(
                "tensorrt.outside",
                wanted=wanted,
                precision=self._target.precision,
                architectures=", ".join(self._target.compute),
                nearest=nearest(self.profiles[graph], wanted),
                command=self.command(around(wanted)),
            )
        )

    def command(self, *more: Profile) -> str:
        """The command that builds this engine again, with more profiles."""
        wanted = dataclasses.replace(self._target, profiles=[*self._target.profiles, *more])
        return f"fdcn build {self._path} {wanted.options()}"

    def _read_profiles(self, graph: str) -> list[Profile]:
        """The profiles of an engine itself, in pixels."""
        return [
            Profile(*(self.extent(batch, (height, width)) for batch, _, height, width in shapes))
            for shapes in self.graphs[graph].ranges("latent")
        ]

    def _check_profiles(self, files: Mapping[str, Path]) -> None:
        for name in ["denoiser", *(group.graph for group in self.step_groups)]:
            if self.profiles[name] != self._target.profiles:
                found, wanted = (_listed(profiles) for profiles in (self.profiles[name], self._target.profiles))
                raise FdcnError(
                    say("tensorrt.profiles", file=files[name], found=found, wanted=wanted, command=self.command())
                )


def _register(bundle: Bundle, flavour: Flavour, plugin: Plugin, operator: str) -> None:
    """Make the operator known to TensorRT. What an engine has in itself needs nothing."""
    if operator == "library":
        tensorrt_plugin.register(flavour, operator, libraries.find("tensorrt"))
    elif operator == "python":
        tensorrt_plugin.register(flavour, operator)
    elif operator == "bundled":
        assert plugin.file is not None
        library = bundle.file(plugin.file)
        if bundle.manifest.files[plugin.file].sha256 != plugin.sha256:
            raise FdcnError(say("tensorrt.plugin_changed", library=library))
        tensorrt_plugin.register(flavour, "library", library)


def _plugin(operator: str) -> str:
    """What runs the operator, for people."""
    words = {
        "library": say("tensorrt.plugin_library"),
        "bundled": say("tensorrt.plugin_bundled"),
        "python": say("tensorrt.plugin_python"),
        "aot": say("tensorrt.plugin_aot"),
        "none": say("tensorrt.plugin_none"),
    }
    return words[operator]


def _listed(profiles: list[Profile]) -> str:
    return " ".join(map(str, profiles)) or "none"
