"""One denoiser as a TensorRT engine of its own, built without a bundle around it and run on torch's tensors.

For what fdcn's own command does not build: a graph with an edit, another network, another profile.
"""

import dataclasses
import gc
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from variants import Edit

from fdcn.bundle import Bundle, Profile
from fdcn.export import profiles, tensorrt_worker
from fdcn.export.passes.type_rules import check_types
from fdcn.export.recipe import Recipe
from fdcn.export.tensorrt_graphs import Prepared, prepare, shapes
from fdcn.export.tensorrt_job import Job
from fdcn.export.tensorrt_target import find_plugin
from fdcn.plugins import flavours, tensorrt_plugin
from fdcn.plugins.flavours import Flavour

_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


def build(
    bundle: Bundle,
    precision: str,
    sizes: Sequence[Profile],
    path: Path,
    edit: Edit | None = None,
    flavour: str = "tensorrt",
    compute: Sequence[str] = (),
    recipe: Recipe | None = None,
) -> int:
    """Write the engine of a bundle's denoiser to a file; gives the number of layers that were parsed.

    `edit` is done to the graph as TensorRT would get it; `recipe` is for a precision that is quantised. The engine
    tells what its layers were made of. Raises FdcnError where TensorRT refuses it.
    """
    found = flavours.load(flavour)
    register(found)
    logger = tensorrt_worker.quiet_logger(found)
    builder = flavours.builder(found, logger)
    axes = profiles.axes("denoiser", sizes, bundle.manifest.pixel_factor)
    job = Job(found.name, precision, "", None, list(compute), None, False, None, "", [])
    timings = path.parent / f"{found.name}.timings"
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = edited(bundle, precision, Path(folder), edit, recipe)
        network = tensorrt_worker.parse(found, logger, builder, prepared, plugin=True)
        config = tensorrt_worker.configure(found, builder, job, [shapes(prepared, each) for each in axes])
        config.profiling_verbosity = found.module.ProfilingVerbosity.DETAILED
        if not compute:
            known = config.create_timing_cache(timings.read_bytes() if timings.exists() else b"")
            assert config.set_timing_cache(known, ignore_mismatch=False)
        plan = builder.build_serialized_network(network, config)
    assert plan is not None, logger.errors
    if not compute:
        timings.write_bytes(config.get_timing_cache().serialize())
    path.write_bytes(plan)
    return network.num_layers


def edited(bundle: Bundle, precision: str, folder: Path, edit: Edit | None, recipe: Recipe | None = None) -> Prepared:
    """A bundle's denoiser as TensorRT gets it, in a folder, after an edit."""
    source = bundle.graph(bundle.manifest.graphs["denoiser"])
    prepared = prepare(source, folder, "denoiser", precision, plugin=True, recipe=recipe)
    if edit is None:
        return prepared
    model = ir.load(prepared.path)
    edit(model)
    check_types(model)
    path = folder / "edited.onnx"
    ir.save(model, path, external_data=f"{path.name}.data")
    del model
    gc.collect()
    return dataclasses.replace(prepared, path=path)


def register(flavour: Flavour) -> None:
    """Make the operator known to TensorRT, for the rest of the process."""
    tensorrt_plugin.register(flavour, *find_plugin(flavour, "auto"))


class Step:
    """An engine of a denoiser, run on torch's current stream."""

    def __init__(self, path: Path, flavour: str = "tensorrt") -> None:
        found = flavours.load(flavour)
        register(found)
        self._trt, self._logger = found.module, tensorrt_worker.quiet_logger(found)
        self._runtime = found.module.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        assert self._engine is not None, self._logger.errors

    def bind(self, tensors: Mapping[str, Tensor], profile: int = 0) -> Callable[[], Tensor]:
        """A call of the engine on these very tensors, as they are when it is called: velocity [B, C, H, W].

        It has a context of its own. Inputs that the engine does not have are left out.
        """
        context, stream = self._engine.create_execution_context(), torch.cuda.current_stream().cuda_stream
        assert context is not None, self._logger.errors
        assert context.set_optimization_profile_async(profile, stream)
        torch.cuda.synchronize()
        held: dict[str, Tensor] = {}
        for name in self._names(self._trt.TensorIOMode.INPUT):
            held[name] = tensors[name]
            assert held[name].is_contiguous()
            assert context.set_input_shape(name, tuple(held[name].shape)), (name, held[name].shape)
        (output,) = self._names(self._trt.TensorIOMode.OUTPUT)
        held[output] = torch.empty(tuple(context.get_tensor_shape(output)), device="cuda")
        for name, tensor in held.items():
            assert context.set_tensor_address(name, tensor.data_ptr()), name

        def call() -> Tensor:
            assert context.execute_async_v3(torch.cuda.current_stream().cuda_stream), self._logger.errors
            return held[output]

        call.context = context  # type: ignore[attr-defined]
        return call

    def layer_seconds(self, call: Any, repeats: int) -> dict[str, list[float]]:
        """Seconds of each layer of a bound call, by name, one a repeat."""
        taken: dict[str, list[float]] = {}
        trt = self._trt

        class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                trt.IProfiler.__init__(self)

            def report_layer_time(self, name: str, ms: float) -> None:
                taken.setdefault(name, []).append(ms * 1e-3)

        call()
        call.context.profiler = profiler = Profiler()
        for _ in range(repeats):
            call()
            torch.cuda.synchronize()
        call.context.profiler = None
        del profiler
        return taken

    def made_of(self) -> dict[str, list[str]]:
        """The ONNX nodes that each layer was made of, by name, as far as TensorRT says."""
        trt = self._trt
        told = self._engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
        return nodes(json.loads(told)["Layers"])

    def _names(self, mode: Any) -> list[str]:
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        return [name for name in names if self._engine.get_tensor_mode(name) == mode]


def nodes(layers: Sequence[Any]) -> dict[str, list[str]]:
    """Names of ONNX nodes by layer, from what TensorRT's inspector says of an engine; a terse one says names alone."""
    told = [layer for layer in layers if isinstance(layer, dict)]
    return {layer["Name"]: _NODE.findall(layer.get("Metadata", "")) for layer in told}
