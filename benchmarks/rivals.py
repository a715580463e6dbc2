"""The ways to run a step that `baselines` compares: by torch, by packages of it, by fdcn's engines."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import onnxruntime as ort
import torch
from torch import Tensor, nn

from fdcn.bundle import Extent, Profile
from fdcn.export.models.flowdcn import graphs, network
from fdcn.plugins.torch_op import multi_scale_dcn_eager
from fdcn.runtime.backends.onnxrt import has_native_operator, session_options

if TYPE_CHECKING:
    from baselines import Place, Subject

OWN = "fdcn"
"""fdcn's engine of a network: TensorRT's on a GPU, ONNX Runtime's on a CPU."""
Call = Callable[[], Tensor]
Operator = Callable[[Tensor, Tensor, Tensor, int, int], Tensor]


def of(
    subject: "Subject", place: "Place", px: int, precision: str, device: str, released: Path | None
) -> dict[str, Callable[[], Call]]:
    """What makes each contender, which may take minutes, or fail where the machine lacks what it takes."""
    s, name = subject, f"{subject.name}-{px}-{precision}"
    mode = "max-autotune-no-cudagraphs" if device == "cuda" else None
    # On a CPU the baseline is plain torch, which its compiler fuses, and not this project's compiled loops.
    plain = multi_scale_dcn_eager if device == "cpu" else None

    def compiled(module: nn.Module, given: tuple[Tensor, ...], operator: Operator | None) -> Call:
        return using(operator, functools.partial(torch.compile(module, mode=mode, dynamic=False), *given))

    ahead = tuple(s.ahead.values())
    makers: dict[str, Callable[[], Call]] = {
        "torch eager, whole": lambda: using(plain, functools.partial(s.network, *s.given)),
        "torch.compile, whole": lambda: compiled(s.network, s.given, plain),
        "torch.compile, ahead": lambda: compiled(s.denoiser, ahead, plain),
    }
    if device == "cpu":
        return makers | {OWN: lambda: onnxruntime(subject, place, px)}
    makers["AOTInductor, ahead"] = lambda: package(subject, place, name)
    if importlib.util.find_spec("torch_tensorrt"):
        makers["Torch-TensorRT, ahead"] = lambda: torch_tensorrt(subject)
    if released and s.name == "FlowDCN":
        makers["torch.compile, ahead, released operator"] = lambda: compiled(
            s.denoiser, ahead, released_operator(released)
        )
    makers[OWN] = lambda: engine(subject, place, px, precision)
    if s.name == "SiT" and precision != "float32":
        makers[f"{OWN}, Softmax in half"] = lambda: engine(subject, place, px, precision, "half-softmax")
    return makers


def lower(module: nn.Module, dtype: torch.dtype) -> None:
    """Products in half and the rest in float32, which is what fdcn's pass makes of an exported graph."""
    for inner in module.modules():
        if isinstance(inner, (nn.Linear, nn.Conv2d, graphs.GEMM)):
            inner.to(dtype)
            inner.register_forward_pre_hook(_cast)
        elif isinstance(inner, network.DeformableMixer):
            # In float32 it would make its projection float32.
            inner.deformables_scale.data = inner.deformables_scale.data.to(dtype)


def _cast(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.to(module.weight.dtype) for tensor in given)


def using(operator: Operator | None, call: Call) -> Call:
    """A call in which the networks have another operator; it stays with the one that torch compiled it for."""
    if operator is None:
        return call

    def patched() -> Tensor:
        with _operator(operator):
            return call()

    return patched


@contextlib.contextmanager
def _operator(operator: Operator) -> Iterator[None]:
    with (
        mock.patch.object(network, "multi_scale_dcn", operator),
        mock.patch.object(graphs, "multi_scale_dcn", operator),
    ):
        yield


def onnxruntime(subject: "Subject", place: "Place", px: int) -> Call:
    """The exported denoiser on the CPU, its operator native where that has been built."""
    bundle = place.bundle(subject.name, px)
    path = bundle.graph(bundle.manifest.graphs["denoiser"])
    options = session_options(has_native_operator())
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {name: tensor.numpy() for name, tensor in subject.ahead.items()}
    return lambda: torch.from_numpy(session.run(None, feeds)[0])


def engine(subject: "Subject", place: "Place", px: int, precision: str, edit: str = "") -> Call:
    """The exported denoiser as a TensorRT engine for this size alone."""
    import trt_step

    return trt_step.Step(built(place, subject.name, px, precision, edit)).bind(subject.ahead)


def built(place: "Place", name: str, px: int, precision: str, edit: str = "") -> Path:
    """An engine for a guided pair of one size."""
    import trt_step
    import variants

    edits = {"": None, "half-softmax": variants.half_softmax}
    size = Profile(*[Extent(px, px, 2)] * 3)

    def make(path: Path) -> None:
        trt_step.build(place.bundle(name, px), precision, [size], path, edits[edit])

    return place.once("-".join(filter(None, (name, str(px), precision, edit))) + ".engine", make)


def package(subject: "Subject", place: "Place", name: str) -> Call:
    """The denoiser compiled ahead of time by torch, this project's operator in it as it is."""

    def make(path: Path) -> None:
        program = torch.export.export(subject.denoiser, tuple(subject.ahead.values()))
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(path), inductor_configs={"max_autotune": True}
        )

    runner = torch._inductor.aoti_load_package(str(place.once(f"{name}.pt2", make)))
    return functools.partial(runner, *subject.ahead.values())


def torch_tensorrt(subject: "Subject") -> Call:
    """The denoiser by Torch-TensorRT, which leaves an operator that it does not know to torch."""
    import torch_tensorrt as tt  # type: ignore[import-not-found]

    ahead = tuple(subject.ahead.values())
    program = torch.export.export(subject.denoiser, ahead)
    module: Any = tt.dynamo.compile(program, inputs=ahead, use_explicit_typing=True, min_block_size=1)
    return functools.partial(module, *ahead)


def released_operator(source: Path) -> Operator:
    """The Triton kernel of FlowDCN's authors, from a clone of MCG-NJU/FlowDCN, behind this project's signature."""
    sys.path.insert(0, str(source))
    from src.ops.triton_kernels.forward import forward_kernel  # type: ignore[import-not-found]

    def operator(projection: Tensor, prior: Tensor, s_max: Tensor, groups: int, taps: int) -> Tensor:
        N, H, W, width = projection.shape
        values = width - groups * taps * 4
        value = projection[..., :values].reshape(N, H, W, groups, -1).contiguous()
        tap = projection[..., values:].float().reshape(N, H, W, groups, taps, 4)
        reach = tap[..., 2:3].sigmoid() * s_max.reshape(N, 1, 1, 1, 1, 2)
        offset = ((tap[..., :2] + prior) * reach).to(projection.dtype).contiguous()
        weight = tap[..., 3].to(projection.dtype).contiguous()
        out = projection.new_empty(N, H, W, values)
        sizes = (N, H, W, groups, values // groups, taps)
        forward_kernel[(N * H * W * groups,)](*sizes, value, offset, weight, out)
        return out

    return operator
