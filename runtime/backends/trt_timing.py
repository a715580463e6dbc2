"""How long a graph of an engine takes on the device, whole and layer by layer. What it computes is thrown away."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from fdcn.runtime.backends.device import Device
from fdcn.runtime.backends.trt_graph import TrtGraph


def seconds(
    graph: TrtGraph, device: Device, feeds: Mapping[str, np.ndarray], profile: int, repeats: int
) -> list[float]:
    """Seconds of each of some runs after a first one, by the device's clock. Inputs are there, nothing is copied."""
    doing = f"timing the {graph.name}"
    context, _ = graph.prepare(graph.reused(), feeds, profile)
    context.enqueue(device.stream)
    events = [device.new_event(timing=True) for _ in range(repeats + 1)]
    try:
        device.record(events[0], device.stream)
        for event in events[1:]:
            context.enqueue(device.stream)
            device.record(event, device.stream)
        device.synchronize(doing)
        return [device.between(a, b) for a, b in itertools.pairwise(events)]
    finally:
        for event in events:
            device.free_event(event)


def layers(
    graph: TrtGraph, trt: Any, device: Device, feeds: Mapping[str, np.ndarray], profile: int
) -> list[tuple[str, float]]:
    """Name and seconds of every layer of one run, in order, after a first run. TensorRT waits after each layer."""
    found: list[tuple[str, float]] = []

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, name: str, milliseconds: float) -> None:
            found.append((name, milliseconds / 1e3))

    context, _ = graph.prepare(graph.context(), feeds, profile)
    context.enqueue(device.stream)
    device.synchronize(f"running the {graph.name}")
    context.tell(Profiler())
    context.enqueue(device.stream)
    device.synchronize(f"profiling the {graph.name}")
    return found
