"""A bundle's portable graph as TensorRT is to read it: its precision chosen, the operator a plugin's node."""

import dataclasses
import gc
from pathlib import Path

import onnx_ir as ir

from fdcn.bundle import QUANTISED
from fdcn.errors import FdcnError
from fdcn.export.passes.embed_operator import embed_operator
from fdcn.export.passes.fold_constants import fold_constants
from fdcn.export.passes.half_precision import half_precision
from fdcn.export.passes.quantise import quantise
from fdcn.export.passes.strip_operator import strip_operator
from fdcn.export.profiles import Axes
from fdcn.export.quantised import GRAPH
from fdcn.export.read import read
from fdcn.export.recipe import Recipe
from fdcn.plugins import spec

HALF = {
    "float16": ir.DataType.FLOAT16,
    "bfloat16": ir.DataType.BFLOAT16,
    **dict.fromkeys(QUANTISED, ir.DataType.FLOAT16),
}
"""What becomes of all that is not quantised."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A graph in a folder for temporary files, weights beside it."""

    path: Path
    inputs: dict[str, list[int | str]]
    """Axes of each input: a number, or the name of a dynamic axis."""
    operators: int
    """How many nodes are MultiScaleDCN."""
    quantised: int = 0
    """How many matrix products are."""


def prepare(
    source: Path,
    folder: Path,
    name: str,
    precision: str,
    plugin: bool,
    recipe: Recipe | None = None,
    group: int = 0,
) -> Prepared:
    """Write the graph `name` of an engine for TensorRT; with a recipe it is the denoiser for one of its step groups.

    Without a plugin the operator stays a function, of operators that TensorRT has. Edges are float32 in every
    precision. Raises FdcnError for a file that fdcn did not export, for a weight that the precision cannot hold, and
    for a recipe that does not fit the graph.
    """
    model = _read(source, GRAPH if recipe else name)
    if recipe:
        quantise(model, recipe, group)
    operators = sum((node.domain, node.op_type) == (spec.DOMAIN, spec.NAME) for node in model.graph)
    if plugin:
        strip_operator(model)
    else:
        embed_operator(model, chunked=False)
    if precision in HALF:
        half_precision(model, HALF[precision])
    fold_constants(model)  # last: it inlines the operator's function, whose inside is float32
    path = folder / f"{name}.onnx"
    ir.save(model, path, external_data=f"{path.name}.data")
    inputs = {str(value.name): _axes(value) for value in model.graph.inputs}
    # Its weights are mapped files, and it lies in reference cycles: the builder needs that memory.
    del model
    gc.collect()
    return Prepared(path, inputs, operators, len(recipe.quantised()) if recipe else 0)


def shapes(prepared: Prepared, axes: Axes) -> dict[str, list[list[int]]]:
    """Minimum, optimum and maximum shape of each input that has dynamic axes. Raises FdcnError for an unknown axis."""
    result = {}
    for name, dims in prepared.inputs.items():
        unknown = [dim for dim in dims if isinstance(dim, str) and dim not in axes]
        if unknown:
            raise FdcnError(f"{prepared.path.name} is not fdcn's: its input {name} has an axis {unknown[0]!r}; {_MEND}")
        if any(isinstance(dim, str) for dim in dims):
            result[name] = [[axes[dim][i] if isinstance(dim, str) else dim for dim in dims] for i in range(3)]
    return result


_MEND = "run fdcn export again"


def _read(source: Path, name: str) -> ir.Model:
    model = read(source)
    if (model.producer_name, model.graph.name) != ("fdcn", name):
        found = f"graph {model.graph.name!r} of {model.producer_name or 'an unnamed producer'}"
        raise FdcnError(f"{source} holds {found}, wanted fdcn's {name}; {_MEND}")
    return model


def _axes(value: ir.Value) -> list[int | str]:
    assert value.shape is not None, f"fdcn names every axis of {value.name}"
    return [dim if isinstance(dim, int) else str(dim.value) for dim in value.shape]
