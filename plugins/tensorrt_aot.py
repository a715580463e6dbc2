"""MultiScaleDCN as an ahead-of-time plugin of TensorRT: the engine contains the kernel's PTX and needs no plugin.

TensorRT evaluates the launch's grid and the kernel's sizes from expressions over the input shapes, so attributes,
which such an engine does not keep, reach the kernel as constants among them. This is the `tensorrt.plugin` API of
TensorRT 10.9 and later; TensorRT-RTX 1.7 does not have it.
"""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcn import gpu
from fdcn.errors import FdcnError
from fdcn.plugins import gpu_launch, nvrtc, spec
from fdcn.plugins.flavours import Flavour


def register(flavour: Flavour) -> object:
    """Define the plugin, for as long as the process lives.

    Raises FdcnError where the flavour has no such plugins, or nothing can compile for the GPU here.
    """
    if not hasattr(flavour.module, "QuickPluginCreationRequest"):
        raise FdcnError(
            f"{flavour} cannot embed a plugin's kernel, which takes TensorRT 10.9 or newer; "
            "use --plugin library or --plugin python"
        )
    compiler, compute = _compiler()
    trtp: Any = importlib.import_module("tensorrt.plugin")
    dtypes = {getattr(flavour.module, name): name for name in spec.DTYPES}

    def describe(projection, prior, s_max, groups, taps):  # type: ignore[no-untyped-def]
        if projection.dtype not in dtypes or {prior.dtype, s_max.dtype} != {flavour.module.float32}:
            raise ValueError(f"inputs are {projection.dtype}, {prior.dtype} and {s_max.dtype}")
        out = projection.like()
        out.shape_expr[3] = projection.shape_expr[3] - groups.item() * taps.item() * len(spec.TAP_FIELDS)
        return out

    def implement(projection, prior, s_max, groups, taps, outputs, tactic):  # type: ignore[no-untyped-def]
        dtype, G, K = dtypes[projection.dtype], groups.item(), taps.item()
        N, H, W, _ = projection.shape_expr
        launch = trtp.KernelLaunchParams()
        launch.grid_x = N * trtp.cdiv(W, gpu_launch.TILE_COLUMNS)
        launch.grid_y = trtp.cdiv(H, gpu_launch.TILE_ROWS)
        launch.grid_z = G
        launch.block_x = gpu_launch.THREADS
        sizes = (N, H, W, G, outputs[0].shape_expr[3] // G, K)
        arguments = trtp.SymIntExprs(len(sizes))
        for i, size in enumerate(sizes):
            arguments[i] = trtp.SymInt32(size)
        code = nvrtc.ptx(compute, compiler, nvrtc.operator([dtype])).read_bytes()
        return nvrtc.ENTRIES[dtype], code, launch, arguments

    tensors = dict.fromkeys(spec.INPUTS, trtp.TensorDesc)
    # An array of one number each: TensorRT ≤ 10.15 cannot read a plain int with NumPy ≥ 2.4.
    numbers = dict.fromkeys(spec.ATTRIBUTES, NDArray[np.int32])
    # TensorRT reads the annotations, which name what it brought.
    describe.__annotations__ = {**tensors, **numbers, "return": trtp.TensorDesc}
    results = tuple[str, bytes, trtp.KernelLaunchParams, trtp.SymIntExprs]
    implement.__annotations__ = {**tensors, **numbers, "outputs": tuple[trtp.TensorDesc], "return": results}
    plugin = f"{spec.DOMAIN}::{spec.NAME}"
    trtp.register(plugin)(describe)
    trtp.aot_impl(plugin)(implement)
    return describe, implement


def _compiler() -> tuple[nvrtc.Compiler, str]:
    """What makes PTX that the driver here understands, and the architecture to make it for."""
    found = gpu.first()
    if found is None:  # for any
        compiler = nvrtc.get()
        return compiler, f"sm_{compiler.architectures[0]}"
    driver = tuple(int(part) for part in found.cuda.split("."))
    compiler = nvrtc.get(newest=driver[0])
    if compiler.version > driver:
        raise FdcnError(
            f"{compiler} writes PTX that driver {found.driver}, for CUDA {found.cuda}, does not read; update the "
            f"driver, or pip install nvidia-cuda-nvrtc=={found.cuda}.*"
        )
    own = int(found.compute.removeprefix("sm_"))
    older = [known for known in compiler.architectures if known <= own]
    if not older:
        raise FdcnError(f"{compiler} does not compile for {found.compute} any more; use --plugin library")
    return compiler, f"sm_{older[-1]}"
