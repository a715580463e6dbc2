"""The float32 denoiser with a switch a product that quantises its input and takes another weight.

One session serves every question that the search asks: which products are quantised, with which ranges, scales of
channels and weights are inputs of the graph, whose defaults leave it as it was.
"""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from fdcn.bundle import Bundle
from fdcn.export.products import Product, products
from fdcn.export.read import read
from fdcn.export.recipe import LARGEST
from fdcn.export.scales import rounded, scale
from fdcn.runtime.backends import onnxrt

Feeds = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Setting:
    """How a product is quantised."""

    range: float
    """Of its input after migration; positive."""
    migration: NDArray[np.float32] | None = None
    """SmoothQuant's s [K]."""


class Switches:
    """A session in which products are quantised as a call asks. Close it, or use it in a `with` block."""

    def __init__(self, bundle: Bundle, precision: str) -> None:
        """Open it. `precision` is "int8" or "fp8". Raises FdcnError where the graph cannot be read or run."""
        model = read(bundle.graph(bundle.manifest.graphs["denoiser"]))
        self._precision = precision
        self._products = {product.name: product for product in products(model)}
        for product in self._products.values():
            _Switch(model.graph, product).add(precision)
        self._folder = tempfile.TemporaryDirectory(prefix="fdcn-calibrate-")
        try:
            path = Path(self._folder.name, "switches.onnx")
            ir.save(model, path, external_data="switches.onnx.data")
            self._session = onnxrt.session(path, optimised=False, native=onnxrt.has_native_operator())
        except BaseException:
            self.close()
            raise

    @property
    def products(self) -> list[Product]:
        """Those of the network, in its order."""
        return [*self._products.values()]

    def feeds(self, settings: Mapping[str, Setting]) -> Feeds:
        """What quantises products by name, to be fed beside the network's inputs; it holds a copy of their weights."""
        fed: Feeds = {}
        for name, setting in settings.items():
            weight = self._products[name].values()
            if setting.migration is not None:
                weight = weight * setting.migration[:, None]
                fed[_input(name, "divisor")] = setting.migration
            fed[_input(name, "on")] = np.array(True)
            fed[_input(name, "scale")] = scale(setting.range, self._precision)
            weight = rounded(weight, scale(np.abs(weight).max(0), self._precision), self._precision)
            fed[_input(name, "weight")] = weight.T if self._products[name].transposed else weight
        return fed

    def run(self, inputs: Feeds, feeds: Feeds) -> NDArray[np.float32]:
        """The network's output [B, C, H, W], float32, with what `feeds` quantises."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, {**inputs, **feeds})
        return outputs[0]

    def close(self) -> None:
        """Remove its file."""
        self._folder.cleanup()

    def __enter__(self) -> "Switches":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _input(product: str, what: str) -> str:
    return f"{product}:{what}"


class _Switch:
    """Puts a branch before a product: a sweep has one product on, and those that are off shall cost nothing."""

    def __init__(self, graph: ir.Graph, product: Product) -> None:
        self._graph, self._product = graph, product
        self._names = 0

    def add(self, precision: str) -> None:
        product = self._product
        on = self._default("on", ir.tensor(np.array(False)))
        step = self._default("scale", ir.tensor(np.array(1, np.float32)))
        divisor = self._default("divisor", ir.tensor(np.ones(product.shape[0], np.float32)))
        branches = {
            "then_branch": self._branch(self._rounding(product.read, divisor, step, precision)),
            "else_branch": self._branch([self._node("Identity", product.read)]),
        }
        choice = self._node("If", on, **branches)
        self._graph.insert_before(product.node, choice)
        product.node.replace_input_with(0, choice.outputs[0])
        assert product.weight.const_value is not None
        product.node.replace_input_with(1, self._default("weight", product.weight.const_value))
        if not product.weight.uses():
            del self._graph.initializers[str(product.weight.name)]

    def _rounding(self, read_value: ir.Value, divisor: ir.Value, step: ir.Value, precision: str) -> list[ir.Node]:
        low, high = (
            self._constant(what, ir.tensor(np.array(limit, np.float32)))
            for what, limit in (("low", -LARGEST[precision]), ("high", LARGEST[precision]))
        )
        nodes = [self._node("Div", read_value, divisor)]
        nodes.append(self._node("Div", nodes[-1].outputs[0], step))
        nodes.append(self._node("Clip", nodes[-1].outputs[0], low, high))
        if precision == "int8":
            nodes.append(self._node("Round", nodes[-1].outputs[0]))
        else:
            for dtype in (ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT):
                nodes.append(self._node("Cast", nodes[-1].outputs[0], to=dtype))
                nodes[-1].outputs[0].type = ir.TensorType(dtype)
        nodes.append(self._node("Mul", nodes[-1].outputs[0], step))
        return nodes

    def _branch(self, nodes: list[ir.Node]) -> ir.Graph:
        return ir.Graph([], nodes[-1].outputs, nodes=nodes, name=_input(self._product.name, f"branch{len(nodes)}"))

    def _default(self, what: str, tensor: ir.TensorProtocol) -> ir.Value:
        """An input of the graph that need not be fed: ONNX's initialiser with the name of an input."""
        value = self._constant(what, tensor)
        self._graph.inputs.append(value)
        return value

    def _constant(self, what: str, tensor: ir.TensorProtocol) -> ir.Value:
        name = _input(self._product.name, what)
        shape, dtype = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
        value = ir.Value(name=name, shape=shape, type=dtype, const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def _node(self, kind: str, *inputs: ir.Value, **attributes: Any) -> ir.Node:
        name = _input(self._product.name, str(self._names))
        node = ir.node(kind, inputs, attributes, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
        self._names += 1
        return node
