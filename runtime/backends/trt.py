"""TensorRT on an NVIDIA GPU: the engines that `fdcn build` adds to a bundle.

A graph has one execution context, and all share a stream; arrays go in from the host and come back to it.
"""

import contextlib
import dataclasses
import math
import threading
import weakref

import numpy as np

from fdcn.bundle import Bundle, Engine, Extent, Plugin, Profile
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu
from fdcn.plugins import flavours, libraries, tensorrt_plugin
from fdcn.plugins.flavours import Flavour
from fdcn.runtime.backends import choice
from fdcn.runtime.backends.device import Device
from fdcn.runtime.backends.profiles import around, fit, nearest, split
from fdcn.runtime.backends.trt_graph import Log, TrtGraph

OPERATORS = {
    "library": "operator from the library built here",
    "bundled": "operator from the library in the bundle",
    "python": "operator from the plugin in Python",
    "aot": "operator in the engine",
    "none": "operator as its function",
}


def open_engine(bundle: Bundle, gpu: Gpu, allow_bundled_code: bool = False) -> "TensorRT":
    """The newest engine of a bundle that this machine can load. Raises FdcnError where there is none."""
    engines = [engine for engine in bundle.manifest.engines if engine.backend == choice.NAME]
    machine = choice.survey(gpu, engines)
    engine = choice.choose(bundle.path, engines, machine, allow_bundled_code)
    assert engine.target is not None
    operator = choice.operator(engine.target, machine, allow_bundled_code)
    assert operator is not None
    return TensorRT(bundle, engine, gpu, operator)


class TensorRT:
    """An engine of a bundle, loaded; calls from several threads wait for each other.

    `operator` is what `choice.operator` says. Raises FdcnError where a file is damaged, TensorRT refuses it, it is not
    what the manifest says, or the GPU's memory does not suffice.
    """

    def __init__(self, bundle: Bundle, engine: Engine, gpu: Gpu, operator: str) -> None:
        assert engine.target is not None
        self._bundle, self._target = bundle, engine.target
        flavour = flavours.load(self._target.flavour)
        if not {"conditioner", "denoiser"} <= engine.graphs.keys():
            raise FdcnError(f"engine {engine.key} of {bundle.path} lacks a graph; build it again: {self._command()}")
        files = {name: bundle.graph(graph) for name, graph in engine.graphs.items()}
        _register(bundle, flavour, self._target.plugin, operator)
        log = Log(flavour.module)
        self._runtime = flavour.module.Runtime(log.logger)
        with contextlib.ExitStack() as closing:
            device = Device()
            closing.callback(device.close)
            self._graphs = {}
            for name, file in files.items():
                self._graphs[name] = TrtGraph(name, file, flavour.module, self._runtime, log, device)
                closing.callback(self._graphs[name].close)
            self._profiles = {name: self._read_profiles(name) for name in files if name != "conditioner"}
            if self._profiles["denoiser"] != self._target.profiles:
                found, wanted = (_listed(profiles) for profiles in (self._profiles["denoiser"], self._target.profiles))
                raise FdcnError(
                    f"the engine in {files['denoiser']} has profiles {found}, the manifest says {wanted}; "
                    f"build it again: {self._command()}"
                )
            # When the last reference is gone, or Python ends: contexts, engines, memory, stream. A plugin's code stays
            # in the process whatever happens, since TensorRT keeps pointers into it.
            self.close = weakref.finalize(self, closing.pop_all().close)
        self._lock = threading.Lock()
        self.name = f"{flavour} on {gpu.name} ({gpu.compute}), {self._target.precision} engine, {OPERATORS[operator]}"
        edges = [self._graphs["conditioner"].shape(output) for output in self._graphs["conditioner"].outputs]
        self.conditioning_bytes = sum(4 * math.prod(edge[1:]) for edge in edges)

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        graph = self._graphs["conditioner"]
        (_, _, (steps,)), (_, _, (labels,)) = (graph.ranges(name)[0] for name in ("t", "label"))
        shape = (len(t), len(label))
        whole = {name: np.empty((*shape, *graph.shape(name)[1:]), np.float32) for name in graph.outputs}
        with self._lock:
            for s in split(len(t), steps):
                for b in split(len(label), labels):
                    for name, rows in graph.run({"t": t[s], "label": label[b]}).items():
                        part = whole[name][s, b]
                        part[...] = rows.reshape(part.shape)
        modulation, final = (whole[name].reshape(-1, *whole[name].shape[2:]) for name in ("modulation", "final"))
        return modulation, final

    def denoise(
        self, graph: str, latent: np.ndarray, modulation: np.ndarray, final: np.ndarray, s_max: np.ndarray
    ) -> np.ndarray:
        feeds = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        return self._in_parts(graph, feeds)

    def decode(self, latent: np.ndarray) -> np.ndarray | None:
        return self._in_parts("decoder", {"latent": latent}) if "decoder" in self._graphs else None

    def _in_parts(self, graph: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """The one output of a graph, all of whose inputs have the batch first."""
        rows, _, height, width = feeds["latent"].shape
        factor, profiles = self._bundle.manifest.pixel_factor, self._profiles[graph]
        wanted = Extent(width * factor, height * factor, rows)
        fitting = fit(profiles, wanted)
        if fitting is None:
            raise FdcnError(
                f"{wanted} (width, height, batch) is outside every profile of the {self._target.precision} engine for "
                f"{', '.join(self._target.compute)}; the nearest is {nearest(profiles, wanted)}. "
                f"Add one: {self._command(around(wanted))}"
            )
        profile, parts = fitting
        with self._lock:
            made = [self._graphs[graph].run({n: a[part] for n, a in feeds.items()}, profile) for part in parts]
        (output,) = self._graphs[graph].outputs
        return np.concatenate([part[output] for part in made])

    def _read_profiles(self, graph: str) -> list[Profile]:
        """The profiles of an engine itself, in pixels."""
        factor = self._bundle.manifest.pixel_factor
        return [
            Profile(*(Extent(width * factor, height * factor, batch) for batch, _, height, width in shapes))
            for shapes in self._graphs[graph].ranges("latent")
        ]

    def _command(self, *more: Profile) -> str:
        """The command that builds this engine again, with more profiles."""
        wanted = dataclasses.replace(self._target, profiles=[*self._target.profiles, *more])
        return f"fdcn build {self._bundle.path} {wanted.options()}"


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
            raise FdcnError(
                f"{library} is not the library that the engine was built with; build the engine again, "
                "or leave out --allow-bundled-code"
            )
        tensorrt_plugin.register(flavour, "library", library)


def _listed(profiles: list[Profile]) -> str:
    return " ".join(map(str, profiles)) or "none"
