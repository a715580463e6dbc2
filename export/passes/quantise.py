"""INT8 or FP8 products in a denoiser, written into the graph by Q/DQ pairs, as a recipe says.

    x → QuantizeLinear → DequantizeLinear → MatMul ← DequantizeLinear ← W's codes

A value is quantised per tensor and a weight per output channel, both symmetrically: TensorRT takes no other zero point
than 0. Codes of the weights are stored, a byte each. Every product has a pair of its own with its own constants, though
another may read the same value: only so does ONNX Runtime make an integer product of each. Nothing else is quantised:
not what MultiScaleDCN reads, not sums, not norms.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from fdcn.errors import FdcnError
from fdcn.export.passes.migrate import migrate
from fdcn.export.passes.type_rules import check_types
from fdcn.export.products import Product, products
from fdcn.export.recipe import Activation, Recipe
from fdcn.export.scales import STORED, codes, scale

_MEND = "run fdcn calibrate again"
_TYPES = {"int8": ir.DataType.INT8, "fp8": ir.DataType.FLOAT8E4M3FN}


def quantise(model: ir.Model, recipe: Recipe, group: int = 0) -> int:
    """Make the products of a float32 model that a recipe names INT8 or FP8 ones; returns how many.

    `group` is the step group whose ranges hold. Weights are converted when they are read or saved, one at a time.
    The names of a product's four nodes begin with the product's. Run it before `half_precision`, which then
    dequantises to half. Raises FdcnError, naming the product, for a recipe that is not of this model and for weights
    that are not finite.
    """
    chosen = _chosen(products(model), recipe)
    factors = {r[0].read: np.asarray(a.migration, np.float64) for a, r in chosen if a.migration is not None}
    migrate(model, factors)
    writer = _Writer(model.graph, recipe.precision)
    for activation, readers in chosen:
        for product in readers:
            writer.quantise(product, scale(activation.ranges[group], recipe.precision))
    check_types(model)
    return sum(len(readers) for _, readers in chosen)


def _chosen(found: Sequence[Product], recipe: Recipe) -> list[tuple[Activation, list[Product]]]:
    """The products of each activation of a recipe that fits them."""
    known, values = {product.name: product for product in found}, dict[ir.Value, str]()
    result = []
    for activation in recipe.activations:
        readers = [_known(known, name) for name in activation.products]
        first = readers[0]
        for product in readers:
            if product.read is not first.read:
                raise _mismatch(f"{first.name} and {product.name} read one value, and they do not")
        if first.read in values or len({product.name for product in readers}) < len(readers):
            raise _mismatch(f"what {first.name} reads is quantised twice: for {values.get(first.read, first.name)}")
        values[first.read] = first.name
        _check_numbers(activation, first, len(recipe.until))
        result.append((activation, readers))
    for name in recipe.kept:
        _known(known, name)
    return result


def _check_numbers(activation: Activation, product: Product, groups: int) -> None:
    migration, channels = activation.migration, product.shape[0]
    with np.errstate(over="ignore"):
        ranges, factors = (np.asarray(numbers, np.float32) for numbers in (activation.ranges, migration or []))
    if len(ranges) != groups:
        raise _mismatch(f"{product.name} has {len(ranges)} ranges, and there are {groups} step groups")
    if not (np.isfinite(ranges) & (ranges > 0)).all():
        raise _mismatch(f"what {product.name} reads has the range {activation.ranges}, which no scale represents")
    if migration is None:
        return
    if len(migration) != channels:
        raise _mismatch(f"the migration of {product.name} has {len(migration)} channels; it reads {channels}")
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise _mismatch(f"the migration of {product.name} has factors that are not positive numbers")


def _known(known: Mapping[str, Product], name: str) -> Product:
    if name not in known:
        raise _mismatch(f"there is a product {name}, and the denoiser has none of that name")
    return known[name]


def _mismatch(what: str) -> FdcnError:
    return FdcnError(f"the calibration is not of this model: it says that {what}; {_MEND}")


class _Writer:
    """Writes the nodes and the codes of products into a graph."""

    def __init__(self, graph: ir.Graph, precision: str) -> None:
        self.graph, self.precision = graph, precision
        self.stored, self.type = STORED[precision], _TYPES[precision]

    def quantise(self, product: Product, scale: np.ndarray) -> None:
        name, value, weight = product.name, product.read, product.weight
        read = self._initialiser(f"{name}.input_scale", scale)
        zero = self._initialiser(f"{name}.input_zero", np.zeros((), self.stored))
        quantised = self._node("QuantizeLinear", [value, read, zero], product, "input_quantised", self.type)
        dequantised = self._node("DequantizeLinear", [quantised, read, zero], product, "input_dequantised")
        product.node.replace_input_with(0, dequantised)
        axis = 0 if product.transposed else 1
        stored, scales = self._weight(product)
        inputs = [stored, scales, self._initialiser(f"{name}.weight_zero", np.zeros(product.shape[1], self.stored))]
        product.node.replace_input_with(1, self._node("DequantizeLinear", inputs, product, "weight", axis=axis))
        if not weight.uses():
            del self.graph.initializers[str(weight.name)]

    def _weight(self, product: Product) -> tuple[ir.Value, ir.Value]:
        """The initialisers of a weight's codes and of their scales [N]."""
        name, tensor, transposed = product.name, product.weight.const_value, product.transposed
        assert tensor is not None
        largest = np.abs(product.values()).max(axis=0)
        if not np.isfinite(largest).all():
            raise FdcnError(f"the weight of {name} holds values that are not finite; export a sound checkpoint")
        scales, precision, dtype = scale(largest, self.precision), self.precision, self.type
        along = scales[:, None] if transposed else scales
        stored = ir.LazyTensor(
            lambda: ir.tensor(codes(tensor.numpy(), along, precision), dtype, name=f"{name}.weight_codes"),
            dtype,
            ir.Shape(tensor.shape.numpy()),
            name=f"{name}.weight_codes",
        )
        return self._register(stored), self._initialiser(f"{name}.weight_scale", scales)

    def _node(
        self,
        kind: str,
        inputs: list[ir.Value],
        product: Product,
        what: str,
        dtype: ir.DataType = ir.DataType.FLOAT,
        axis: int | None = None,
    ) -> ir.Value:
        """A node before the product's; its output has the node's name."""
        name = f"{product.name}.{what}"
        node = ir.node(kind, inputs, {} if axis is None else {"axis": axis}, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(dtype)
        self.graph.insert_before(product.node, node)
        return node.outputs[0]

    def _initialiser(self, name: str, values: np.ndarray) -> ir.Value:
        return self._register(ir.tensor(values, name=name))

    def _register(self, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.shape = ir.Shape(tensor.shape.numpy())
        self.graph.register_initializer(value)
        return value
