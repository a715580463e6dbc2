"""The process that builds TensorRT engines, one job a process; see `tensorrt_job`."""

import contextlib
import errno
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fdcn.errors import FdcnError
from fdcn.export import recipe as recipes
from fdcn.export.tensorrt_graphs import Prepared, prepare, shapes
from fdcn.export.tensorrt_job import LESS, OUT_OF_MEMORY, GraphJob, Job
from fdcn.plugins import flavours, tensorrt_plugin
from fdcn.plugins.flavours import Flavour

Send = Callable[[dict[str, Any]], None]
Fraction = Callable[[float], None]


def main() -> None:
    """Read a job from standard input, do it, and say so on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        # TensorRT and its plugins print as they please: that goes to the log.
        os.dup2(2, 1)

        def send(message: dict[str, Any]) -> None:
            print(json.dumps(message), file=out)

        try:
            send({"built": work(_read(json.load(sys.stdin)), send)})
        except FdcnError as error:
            send({"error": str(error)})
        except (MemoryError, OSError) as error:
            if isinstance(error, MemoryError) or error.errno == errno.ENOMEM:
                send({"error": f"out of memory while building; {LESS}"})
            else:
                send({"error": f"building failed: {error.strerror}; make room where the bundle and the cache are"})


def work(job: Job, send: Send) -> dict[str, int]:
    """Build or refit every graph of a job; the number of parsed layers of each."""
    flavour = flavours.load(job.flavour)
    logger = quiet_logger(flavour)
    # Kept for as long as anything of TensorRT lives: its engines call the plugin's code.
    keep = tensorrt_plugin.register(flavour, job.plugin, job.library) if job.plugin != "none" else None
    layers, sent = {}, -1

    def fraction(index: int, of_graph: float) -> None:
        nonlocal sent
        done = int(100 * (index + of_graph))
        if done > sent:  # a phase that starts anew takes the bar back
            sent = done
            send({"progress": [done, 100 * len(job.graphs)]})

    for i, graph in enumerate(job.graphs):
        prepared = _prepare(job, graph)
        act = _refit if graph.engine else _build
        layers[graph.name] = act(flavour, logger, job, graph, prepared, functools.partial(fraction, i))
        for file in Path(job.folder).glob(f"{prepared.path.name}*"):
            file.unlink()
        fraction(i + 1, 0.0)
    del keep
    return layers


def _prepare(job: Job, graph: GraphJob) -> Prepared:
    recipe = recipes.load(Path(graph.recipe)) if graph.recipe else None
    source, folder, plugin = Path(graph.source), Path(job.folder), job.plugin != "none"
    return prepare(source, folder, graph.name, job.precision, plugin, recipe, graph.group)


def parse(flavour: Flavour, logger: Any, builder: Any, prepared: Prepared, plugin: bool) -> Any:
    """The network of a prepared graph.

    Raises FdcnError where TensorRT refuses it, takes no plugin for a node, or sees a product in another precision.
    """
    trt = flavour.module
    network = builder.create_network(flavours.network_flags(flavour))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(prepared.path)):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        raise FdcnError(
            f"{flavour} cannot read the {prepared.path.stem} ({'; '.join(e.desc() for e in errors[:2])[:300]}); "
            "try --plugin none, or export again"
        )
    found = sum(network.get_layer(i).type == trt.LayerType.PLUGIN_V3 for i in range(network.num_layers))
    if plugin and found != prepared.operators:
        raise FdcnError(f"{flavour} made plugin layers of {found} of {prepared.operators} operators; try --plugin none")
    found = quantised_products(trt, network)
    if found != prepared.quantised:
        raise FdcnError(
            f"{flavour} sees {found} of the {prepared.quantised} quantised products of the {prepared.path.stem} as "
            "such; build in half precision, --fp16"
        )
    return network


def quantised_products(trt: Any, network: Any) -> int:
    """How many matrix products of a network read dequantised INT8 or FP8 numbers on both sides."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    makers = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    # The parser gives a weight the rank of what it multiplies.
    passing = {trt.LayerType.SHUFFLE, trt.LayerType.CAST}

    def dequantised(tensor: Any) -> bool:
        maker = makers.get(tensor.name)
        while maker is not None and maker.type in passing:
            maker = makers.get(maker.get_input(0).name)
        return (
            maker is not None
            and maker.type == trt.LayerType.DEQUANTIZE
            and maker.get_input(0).dtype in (trt.DataType.INT8, trt.DataType.FP8)
        )

    products = [layer for layer in layers if layer.type == trt.LayerType.MATRIX_MULTIPLY]
    return sum(dequantised(layer.get_input(0)) and dequantised(layer.get_input(1)) for layer in products)


def configure(flavour: Flavour, builder: Any, job: Job, profiles: list[dict[str, list[list[int]]]]) -> Any:
    """The builder's configuration: profiles, architectures, precision of products, limits."""
    trt = flavour.module
    config = builder.create_builder_config()
    for inputs in profiles:
        profile = builder.create_optimization_profile()
        for name, (low, best, high) in inputs.items():
            profile.set_shape(name, low, best, high)
        config.add_optimization_profile(profile)
    if job.precision == "float32":
        # On by default; ten bits of mantissa are not float32.
        config.clear_flag(trt.BuilderFlag.TF32)
    if job.refit:
        config.set_flag(trt.BuilderFlag.REFIT)
    if job.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job.workspace)
    if job.compute:
        flavours.set_compute(flavour, config, job.compute)
    return config


def _build(flavour: Flavour, logger: Any, job: Job, graph: GraphJob, prepared: Prepared, fraction: Fraction) -> int:
    builder = flavours.builder(flavour, logger)
    network = parse(flavour, logger, builder, prepared, job.plugin != "none")
    config = configure(flavour, builder, job, [shapes(prepared, axes) for axes in graph.profiles])
    monitor = _monitor(flavour, fraction)
    config.progress_monitor = monitor
    with _timing_cache(config, job.timing_cache):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise FdcnError(_refusal(flavour, f"build the {graph.name}", logger.errors))
    Path(graph.destination).write_bytes(plan)
    return network.num_layers


def _refit(flavour: Flavour, logger: Any, job: Job, graph: GraphJob, prepared: Prepared, fraction: Fraction) -> int:
    trt = flavour.module
    assert graph.engine is not None
    engine = trt.Runtime(logger).deserialize_cuda_engine(Path(graph.engine).read_bytes())
    if engine is not None:
        refitter = trt.Refitter(engine, logger)
        parsed = trt.OnnxParserRefitter(refitter, logger).refit_from_file(str(prepared.path))
        if parsed and refitter.refit_cuda_engine():
            Path(graph.destination).write_bytes(engine.serialize())
            return engine.num_layers
    raise FdcnError(_refusal(flavour, f"refit the {graph.name}", logger.errors))


def _refusal(flavour: Flavour, what: str, errors: list[str]) -> str:
    said = errors[0] if errors else "it gave no reason"
    if any(sign in text for sign in OUT_OF_MEMORY for text in errors):
        return f"too little memory to {what} ({said}); {LESS}"
    return f"{flavour} cannot {what}: {said}"


def quiet_logger(flavour: Flavour) -> Any:
    """A logger that keeps errors in `errors`, and prints them alone."""
    trt = flavour.module

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        """Keeps errors; they name what TensorRT's calls only fail with."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message.strip()[:300])
                print(message, file=sys.stderr)

    return Logger()


def _monitor(flavour: Flavour, fraction: Fraction) -> Any:
    trt = flavour.module

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """How much of the outermost phase is done: a phase inside counts as a part of its parent's next step."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases: dict[str, list[Any]] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self.phases[name] = [parent, 0, max(1, steps)]

        def step_complete(self, name: str, step: int) -> bool:
            if name in self.phases:
                self.phases[name][1] = step + 1
                fraction(self._done())
            return True

        def phase_finish(self, name: str) -> None:
            self.phases.pop(name, None)

        def _done(self, parent: str | None = None) -> float:
            inside = [(name, done, steps) for name, (of, done, steps) in self.phases.items() if of == parent]
            return max((min(1.0, (done + self._done(name)) / steps) for name, done, steps in inside), default=0.0)

    return Monitor()


@contextlib.contextmanager
def _timing_cache(config: Any, path: str | None) -> Iterator[None]:
    """Give a build what earlier ones have timed, and keep what it times."""
    if path is None:
        yield
        return
    from fdcn.bundle import replace_file
    from fdcn.cache import locked

    file = Path(path)
    with locked(file):  # a build beside this one would disturb its timings, too
        known = config.create_timing_cache(file.read_bytes() if file.exists() else b"")
        if known is None or not config.set_timing_cache(known, ignore_mismatch=False):  # of another driver, or damaged
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
        yield
        replace_file(file, lambda out: out.write(config.get_timing_cache().serialize()))


def _read(content: dict[str, Any]) -> Job:
    graphs = [GraphJob(**graph) for graph in content.pop("graphs")]
    return Job(graphs=graphs, **content)


if __name__ == "__main__":
    main()
