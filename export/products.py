"""The products of a model: its matrix products by constant weights, which are what can be quantised."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

_SUFFIX = ".weight"


@dataclasses.dataclass(frozen=True)
class Product:
    """x · W of a value x [..., K] and a weight W [K, N], both float32. It stays right while passes edit the graph."""

    node: ir.Node
    """A MatMul, or a Gemm that does not transpose x."""
    name: str
    """The weight's name without ".weight": blocks.0.projection."""

    @property
    def role(self) -> str:
        """The name with "*" for a number between dots: products of one role do the same in other blocks."""
        return ".".join("*" if part.isdigit() else part for part in self.name.split("."))

    @property
    def read(self) -> ir.Value:
        """x."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def weight(self) -> ir.Value:
        """The initialiser, [N, K] where `transposed`."""
        value = self.node.inputs[1]
        assert value is not None
        return value

    @property
    def transposed(self) -> bool:
        return self.node.op_type == "Gemm" and self.node.attributes.get_int("transB", 0) != 0

    @property
    def shape(self) -> tuple[int, int]:
        """K and N, whatever the layout."""
        assert self.weight.const_value is not None
        first, second = self.weight.const_value.shape.numpy()
        return (second, first) if self.transposed else (first, second)

    def values(self) -> np.ndarray:
        """W [K, N] float32, read from its file at each call."""
        assert self.weight.const_value is not None
        values: np.ndarray = self.weight.const_value.numpy()
        return values.T if self.transposed else values


def products(model: ir.Model) -> list[Product]:
    """The products of a model's graph in its order; names are unique: of two with one weight the second is "name#2"."""
    found: list[Product] = []
    counts: dict[str, int] = {}
    for node in model.graph:
        if _multiplies(node):
            assert node.inputs[1] is not None
            name = str(node.inputs[1].name).removesuffix(_SUFFIX)
            counts[name] = counts.get(name, 0) + 1
            found.append(Product(node, f"{name}#{counts[name]}" if counts[name] > 1 else name))
    return found


def activations(found: Sequence[Product]) -> dict[ir.Value, list[Product]]:
    """Products by the value that they read, both in the order given."""
    readers: dict[ir.Value, list[Product]] = {}
    for product in found:
        readers.setdefault(product.read, []).append(product)
    return readers


def constant(value: ir.Value | None) -> bool:
    """Whether a value is an initialiser that no caller of the graph can replace."""
    return value is not None and value.is_initializer() and not value.is_graph_input()


def _multiplies(node: ir.Node) -> bool:
    """Whether a node is a product: a float32 value by a constant matrix."""
    if node.domain or node.op_type not in ("MatMul", "Gemm") or node.attributes.get_int("transA", 0) != 0:
        return False
    read, weight = node.inputs[0], node.inputs[1]
    if weight is None or constant(read) or not constant(weight):
        return False
    tensor = weight.const_value
    return tensor is not None and tensor.dtype == ir.DataType.FLOAT and len(tensor.shape) == 2
