"""ONNX's own type rules, read from the operators' schemas: which values of a node share a type, and which it may be."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx import defs

from fdcn.plugins import schema


@dataclasses.dataclass(frozen=True)
class Rules:
    """A type variable, a type such as `tensor(float)`, or None for any type, for each input and output of a node."""

    inputs: Sequence[str | None]
    outputs: Sequence[str | None]
    allowed: Mapping[str, frozenset[str]]
    """The types that each variable may stand for."""

    def allow(self, variable: str | None, dtype: ir.DataType) -> bool:
        return variable is None or f"tensor({dtype.name.lower()})" in self.allowed.get(variable, {variable})


def rules(node: ir.Node, opsets: Mapping[str, int]) -> Rules | None:
    """The rules of a node's operator in the opsets that its model imports; None for an operator without a schema."""
    schema.register()
    version = opsets.get(node.domain)
    if version is None or not defs.has(node.op_type, version, node.domain):
        return None
    found = _schema(node.op_type, version, node.domain)
    return Rules(
        inputs=_variables(found.inputs, len(node.inputs)),
        outputs=_variables(found.outputs, len(node.outputs)),
        allowed={c.type_param_str: frozenset(c.allowed_type_strs) for c in found.type_constraints},
    )


def check_types(model: ir.Model) -> None:
    """Raise TypeError at the first node of the graph whose values do not fit its operator's rules.

    A graph that passes is strongly typed: nothing is left for an engine to convert or to choose.
    """
    for node in model.graph:
        found = rules(node, model.opset_imports)
        if found is None:
            continue
        bound: dict[str | None, ir.DataType] = {}
        values = [*zip(node.inputs, found.inputs, strict=True), *zip(node.outputs, found.outputs, strict=True)]
        for value, variable in values:
            if value is None or variable is None:
                continue
            if value.dtype is None:
                raise TypeError(f"{value.name} has no type")
            if bound.setdefault(variable, value.dtype) != value.dtype or not found.allow(variable, value.dtype):
                raise TypeError(
                    f"{value.name} is {value.dtype}, which does not fit {variable} of {node.op_type} {node.name}"
                )


# Both accesses convert the whole schema from C++.
@functools.cache
def _schema(name: str, version: int, domain: str) -> defs.OpSchema:
    return defs.get_schema(name, version, domain)


def _variables(parameters: Sequence[defs.OpSchema.FormalParameter], count: int) -> list[str | None]:
    """The last parameter stands for all that follow it, where it is variadic."""
    names = [p.type_str if p.is_homogeneous else None for p in parameters]
    return [*names, *names[-1:] * (count - len(names))][:count]
