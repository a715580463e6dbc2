"""Times of calls that are to be compared: taken in turns, on a GPU from CUDA graphs."""

import time
from collections.abc import Callable, Mapping

import torch

Work = Callable[[], object]
Watch = Callable[[], float]


def interleaved(works: Mapping[str, Work], device: str, repeats: int, launches: int = 1) -> dict[str, list[float]]:
    """Seconds of each call of each work, one of each in turn, so that what else the machine does meets all alike."""
    return in_turns({name: stopwatch(work, device, launches) for name, work in works.items()}, repeats)


def in_turns(watches: Mapping[str, Watch], repeats: int) -> dict[str, list[float]]:
    """The same with stopwatches that are there already."""
    taken: dict[str, list[float]] = {name: [] for name in watches}
    for _ in range(repeats):
        for name, watch in watches.items():
            taken[name].append(watch())
    return taken


def stopwatch(work: Work, device: str, launches: int = 1) -> Watch:
    """Warm a work up; gives a function that does it and says how many seconds one call of it took.

    On "cuda" it is captured, `launches` times in one graph: what Python and the host take does not count.
    """
    if device == "cuda":
        return _replayed(work, launches)
    for _ in range(2):
        work()

    def watch() -> float:
        start = time.perf_counter()
        for _ in range(launches):
            work()
        return (time.perf_counter() - start) / launches

    return watch


def _replayed(work: Work, launches: int) -> Watch:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(launches):
            work()

    def watch() -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e-3 / launches

    for _ in range(3):
        watch()
    return watch
