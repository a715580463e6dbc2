"""TensorRT on an NVIDIA GPU: the engines that `fdcn build` adds to a bundle.

The sampler of its own keeps everything on the device. The three graphs can also be run alone, with the host's arrays.
"""

import weakref
from collections.abc import Mapping

import numpy as np

from fdcn.bundle import Bundle, Engine
from fdcn.gpu import Gpu
from fdcn.runtime.backends import choice, trt_timing
from fdcn.runtime.backends.device_sampler import DeviceSampler
from fdcn.runtime.backends.profiles import split
from fdcn.runtime.backends.trt_engine import TrtEngine


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
    """An engine of a bundle on a GPU; see `TrtEngine` for arguments and errors. Several threads may use one."""

    def __init__(self, bundle: Bundle, engine: Engine, gpu: Gpu, operator: str) -> None:
        self.engine = TrtEngine(bundle, engine, gpu, operator)
        # When the last reference is gone, or Python ends, if not before.
        self.close = weakref.finalize(self, self.engine.close)
        self.name = self.engine.name
        self.conditioning_bytes = self.engine.conditioning_bytes
        self.step_groups = self.engine.step_groups

    def sampler(self) -> DeviceSampler:
        """A sampler that keeps everything on the device; it is closed with the backend, if not before."""
        sampler = DeviceSampler(self.engine)
        self.engine.before_closing(sampler.close)
        return sampler

    def condition(self, t: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        graph = self.engine.graphs["conditioner"]
        (_, _, (steps,)), (_, _, (labels,)) = (graph.ranges(name)[0] for name in ("t", "label"))
        shape = (len(t), len(label))
        whole = {name: np.empty((*shape, *graph.shape(name)[1:]), np.float32) for name in graph.outputs}
        with self.engine.turn():
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
        return self._in_parts("decoder", {"latent": latent}) if "decoder" in self.engine.graphs else None

    def timed(self, graph: str, feeds: Mapping[str, np.ndarray], repeats: int) -> list[float]:
        """Seconds of each of some runs of a graph whose inputs have the batch first, by the device's clock."""
        engine = self.engine
        profile, parts = self._fitting(graph, feeds)
        with engine.turn():
            runs = [
                trt_timing.seconds(engine.graphs[graph], engine.device, _part(feeds, part), profile, repeats)
                for part in parts
            ]
        return [sum(part) for part in zip(*runs, strict=True)]

    def profile(self, graph: str, feeds: Mapping[str, np.ndarray]) -> list[tuple[str, float]]:
        """Name and seconds of every layer of one run of such a graph that is warm, in order."""
        engine = self.engine
        profile, parts = self._fitting(graph, feeds)
        with engine.turn():
            runs = [
                trt_timing.layers(engine.graphs[graph], engine.trt, engine.device, _part(feeds, part), profile)
                for part in parts
            ]
        return [layer for run in runs for layer in run]

    def _fitting(self, graph: str, feeds: Mapping[str, np.ndarray]) -> tuple[int, list[slice]]:
        rows, _, height, width = feeds["latent"].shape
        return self.engine.fitting(graph, rows, (height, width))

    def _in_parts(self, name: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """The one output of a graph, all of whose inputs have the batch first."""
        profile, parts = self._fitting(name, feeds)
        graph = self.engine.graphs[name]
        with self.engine.turn():
            made = [graph.run(_part(feeds, part), profile) for part in parts]
        (output,) = graph.outputs
        return np.concatenate([part[output] for part in made])


def _part(feeds: Mapping[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in feeds.items()}
