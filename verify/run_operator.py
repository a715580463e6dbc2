"""The operator alone, run by the library, in the precision and with the implementation that a contender has."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from fdcn.bundle import QUANTISED, Bundle, Target
from fdcn.export import tensorrt_job
from fdcn.export.passes.half_precision import half_precision
from fdcn.export.tensorrt_job import GraphJob, Job
from fdcn.plugins import flavours, libraries, spec
from fdcn.runtime.backends import onnxrt
from fdcn.runtime.backends.device import Device
from fdcn.runtime.backends.trt_graph import Log, TrtGraph
from fdcn.verify.one_operator import NAME, Layout, one_node

Inputs = Mapping[str, np.ndarray]
"""The operator's inputs by name, all float32."""
Operator = Callable[[Layout, Sequence[Inputs], Path], list[np.ndarray]]
"""Runs cases of one layout, each to float32 [N, H, W, G·C]; the folder is for files that it needs, and empty."""


def in_onnx_runtime(precision: str, native: bool) -> Operator:
    """Runs the operator in ONNX Runtime; `native` says whether natively or as its function."""

    def run(layout: Layout, cases: Sequence[Inputs], folder: Path) -> list[np.ndarray]:
        model = one_node(layout)
        if precision == "float16":
            half_precision(model, ir.DataType.FLOAT16)
        ir.save(model, folder / "one.onnx")
        session = onnxrt.session(folder / "one.onnx", optimised=False, native=native)
        return [session.run(None, dict(case))[0] for case in cases]

    return run


def in_tensorrt(bundle: Bundle, target: Target, allow_bundled_code: bool) -> Operator:
    """Runs the operator in an engine of its own, built as the bundle's engine was, on the GPU that it loaded on.

    Raises FdcnError where TensorRT cannot build or run it.
    """

    def run(layout: Layout, cases: Sequence[Inputs], folder: Path) -> list[np.ndarray]:
        source, engine = folder / "one.onnx", folder / "one.engine"
        ir.save(one_node(layout), source)
        job = GraphJob(NAME, str(source), str(engine), [_axes(cases)])
        tensorrt_job.run(_job(target, _plugin(bundle, target, allow_bundled_code), folder, job))
        trt = flavours.load(target.flavour).module
        with contextlib.ExitStack() as closing:
            device, log = Device(), Log(trt)
            closing.callback(device.close)
            runtime = trt.Runtime(log.logger)  # outlives its engine
            graph = TrtGraph(NAME, engine, trt, runtime, log, device)
            closing.callback(graph.close)
            return [graph.run(case)[spec.OUTPUT] for case in cases]

    return run


def _axes(cases: Sequence[Inputs]) -> dict[str, tuple[int, int, int]]:
    """A profile that holds every case, tuned for the largest."""
    sizes = zip(*(case["projection"].shape[:3] for case in cases), strict=True)
    return {axis: (min(found), max(found), max(found)) for axis, found in zip("NHW", map(list, sizes), strict=True)}


def _job(target: Target, plugin: tuple[str, Path | None], folder: Path, graph: GraphJob) -> Job:
    kind, library = plugin
    return Job(
        flavour=target.flavour,
        precision="float16" if target.precision in QUANTISED else target.precision,
        plugin=kind,
        library=str(library) if library else None,
        compute=[],
        workspace=None,
        refit=False,
        timing_cache=None,
        folder=str(folder),
        graphs=[graph],
    )


def _plugin(bundle: Bundle, target: Target, allow_bundled_code: bool) -> tuple[str, Path | None]:
    """Kind and library of the plugin that the loaded engine has, as `choice.operator` prefers them."""
    if target.plugin.kind != "library":
        return target.plugin.kind, None
    if own := libraries.find("tensorrt"):
        return "library", own.resolve()
    if allow_bundled_code and target.plugin.file is not None:
        return "library", bundle.file(target.plugin.file).resolve()
    return "python", None
