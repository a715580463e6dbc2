"""From a torch module to an ONNX model, through torch's dynamo exporter."""

import contextlib
import dataclasses
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import onnx_ir as ir
import onnxscript
import torch
from torch import Tensor, nn

from fdcn.plugins import schema, spec

OPSET = 20
"""The newest that TensorRT 10.6 parses in full."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a graph's edges are called: a name an input or output, and a name a dimension that is not fixed.

    `inputs` and `outputs` map a tensor's name to its axes; an axis is a number where it is fixed, else a name.
    `multiples` says which named axes only come in multiples of a number (a patch's side).
    """

    inputs: dict[str, Sequence[int | str]]
    outputs: dict[str, Sequence[int | str]]
    multiples: dict[str, int] = dataclasses.field(default_factory=dict)


def trace(module: nn.Module, example: tuple[Tensor, ...], signature: Signature) -> ir.Model:
    """Export a module at opset 20, its named axes dynamic.

    `example` holds one tensor an input, of a size at which no dynamic axis is 1. Weights stay in the module's own
    memory until the model is saved.
    """
    schema.register()
    dynamic = [_dynamic_axes(axes, signature.multiples) for axes in signature.inputs.values()]
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dynamic,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            custom_translation_table={torch.ops.fdcn.multi_scale_dcn.default: _translate},
            verbose=False,
        )
    assert program is not None
    model = program.model
    _name_axes(model, signature)
    return model


_fdcn = onnxscript.values.Opset(spec.DOMAIN, spec.VERSION)


def _translate(projection: Any, prior: Any, s_max: Any, groups: int, taps: int) -> Any:
    return _fdcn.MultiScaleDCN(projection, prior, s_max, groups=groups, taps=taps, **spec.PLUGIN_ATTRIBUTES)


def _dynamic_axes(axes: Sequence[int | str], multiples: dict[str, int]) -> dict[int, Any]:
    result: dict[int, Any] = {}
    for i, axis in enumerate(axes):
        if isinstance(axis, str):
            # Named apart from the axis: torch derives a multiple from the dimension of its quotient.
            multiple = multiples.get(axis, 1)
            result[i] = torch.export.Dim(axis) if multiple == 1 else multiple * torch.export.Dim(f"{axis}_tokens")
    return result


def _name_axes(model: ir.Model, signature: Signature) -> None:
    """Give the edges the axis names of the signature; shapes inside, in the exporter's own symbols, are dropped."""
    for values, named in ((model.graph.inputs, signature.inputs), (model.graph.outputs, signature.outputs)):
        for value, axes in zip(values, named.values(), strict=True):
            value.shape = ir.Shape(axes)
    outputs = set(model.graph.outputs)
    for node in model.graph:
        for value in node.outputs:
            if value not in outputs:
                value.shape = None
        # Stack traces of the machine that exported do not belong into the file.
        node.metadata_props.clear()
        node.doc_string = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notices off the terminal: they speak of opset versions that fdcn has chosen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
