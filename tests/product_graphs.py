"""Small graphs with products at random, and bounds of what quantising them may change, computed apart from ONNX."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from fdcn.export.products import products
from fdcn.export.recipe import LARGEST, Activation, Recipe
from fdcn.plugins import schema

LINEAR = ("product", "gemm", "scale", "shift", "modulate", "swiglu", "gate", "residual", "layout", "expose")
ALL = (*LINEAR, "again", "norm", "divide")
ROUNDING = 2.0**-20
"""Of a float32 result with up to 8 terms, by the sum of their magnitudes."""


def layers(kinds=ALL):
    """Lists of what a graph does to its input, one after another."""
    layer = st.tuples(st.sampled_from(kinds), st.sampled_from([1, 4, 8]))
    return st.lists(layer, min_size=1, max_size=7).map(lambda found: [("product", 4), *found, ("product", 8)])


class Builder:
    """Makes a graph of an input x [rows, 8] or [batch, rows, 8] and modulations beside it, and arrays to feed it."""

    def __init__(self, found, rank, seed):
        self.rng, self.rank = np.random.default_rng(seed), rank
        self.nodes, self.inputs, self.outputs, self.weights = [], [], [], {}
        self.feeds, self.widths, self.made = {}, {}, []
        x = self.input([5] if rank == 2 else [2, 5], 8)
        for kind, width in found:
            x = getattr(self, kind)(x, width)
            self.made.append(x)
        self.outputs.append(x)

    def model(self, opset=20):
        names = ["a", "b"] if self.rank == 3 else ["b"]

        def axes(array):
            return [1 if length == 1 else name for name, length in zip([*names, "width"], array.shape, strict=True)]

        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [*axes(array)[:-1], array.shape[-1]])
            for name, array in self.feeds.items()
        ]
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [*names, self.widths[name]])
            for name in dict.fromkeys(self.outputs)
        ]
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, weights)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        model = ir.from_proto(proto)
        ShapeInferencePass()(model)
        return model

    def input(self, rows, width):
        name = f"in{len(self.feeds)}"
        self.feeds[name] = self.rng.standard_normal((*rows, width)).astype(np.float32)
        self.widths[name] = width
        return name

    def constant(self, *shape):
        name = f"p{len(self.weights)}.weight"
        self.weights[name] = (self.rng.standard_normal(shape) / max(1, len(shape)) ** 0.5).astype(np.float32)
        return name

    def node(self, kind, inputs, width, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n_{name}", **attributes))
        self.widths[name] = width
        return name

    def product(self, x, width):
        y = self.node("MatMul", [x, self.constant(self.widths[x], width)], width)
        return self.node("Add", [y, self.constant(width)], width) if width > 1 else y

    def again(self, x, width):
        """A product by a weight that another has."""
        weights = [node.input[1] for node in self.nodes if node.op_type == "MatMul"]
        there = [name for name in weights if len(self.weights[name]) == self.widths[x]]
        if there:
            return self.node("MatMul", [x, there[0]], self.weights[there[0]].shape[1])
        return self.product(x, width)

    def gemm(self, x, width):
        if self.rank == 3:
            return self.product(x, width)
        weight, bias = self.constant(width, self.widths[x]), self.constant(width)
        return self.node("Gemm", [x, weight, bias], width, transB=1)

    def scale(self, x, width):
        shape = () if width == 1 else (self.widths[x],)
        return self.node("Mul", [x, self.constant(*shape)], self.widths[x])

    def shift(self, x, width):
        shape = () if width == 1 else (self.widths[x],)
        return self.node("Sub" if width == 4 else "Add", [x, self.constant(*shape)], self.widths[x])

    def divide(self, x, width):
        weight = self.constant(self.widths[x])
        self.weights[weight] = np.exp(self.weights[weight])
        return self.node("Div", [x, weight], self.widths[x])

    def modulate(self, x, width):
        """x · (1 + scale) + shift, with one row for all."""
        rows = [1] if self.rank == 2 else [2, 1]
        scale = self.node("Add", [self.input(rows, self.widths[x]), self.constant()], self.widths[x])
        y = self.node("Mul", [x, scale], self.widths[x])
        return self.node("Add", [y, self.input(rows, self.widths[x])], self.widths[x])

    def norm(self, x, width):
        return self.node("LayerNormalization", [x, self.constant(self.widths[x])], self.widths[x], axis=-1)

    def gate(self, x, width):
        return self.node("Mul", [x, self.node("Sigmoid", [x], self.widths[x])], self.widths[x])

    def swiglu(self, x, width):
        first, third = (self.node("MatMul", [x, self.constant(self.widths[x], width)], width) for _ in range(2))
        return self.node("Mul", [self.gate(first, width), third], width)

    def residual(self, x, width):
        there = [name for name in self.made if self.widths[name] == self.widths[x] and name != x]
        return self.node("Add", [x, there[0]], self.widths[x]) if there else x

    def layout(self, x, width):
        order = [1, 0] if self.rank == 2 else [1, 0, 2] if width == 1 else [0, 2, 1]
        for _ in range(2):
            x = self.node("Transpose", [x], self.widths[x], perm=order)
        return x

    def expose(self, x, width):
        if x not in self.feeds:
            self.outputs.append(x)
        return x


def some_recipe(model, feeds, precision, seed, margin=1.0, groups=1):
    """A recipe that quantises most products, with ranges that are `margin` of what they read, some migrated."""
    rng, found, read = np.random.default_rng(seed), {}, {}
    values = evaluate(model, feeds)
    for product in products(model):
        if rng.random() < 0.8:
            found.setdefault(product.read.name, []).append(product.name)
        read[product.read.name] = product.shape[0]
    activations = []
    for name, readers in found.items():
        x, _ = values[name]
        factors = np.exp2(rng.uniform(-2, 2, read[name])) if rng.random() < 0.5 else None
        largest = max(float(np.abs(x if factors is None else x / factors).max()), 2.0**-10)
        ranges = [margin * largest * (i + 1) for i in range(groups)]
        activations.append(Activation(readers, ranges, None if factors is None else factors.tolist()))
    until = [(i + 1) / groups for i in range(groups)]
    return Recipe(precision, "of the test", until, activations, {}, {})


def evaluate(model, feeds, recipe=None, group=0):
    """Each value of a graph in float64, with a bound of what quantising by `recipe` may change of it."""
    values = {name: (array.astype(np.float64), np.zeros(array.shape)) for name, array in feeds.items()}
    for name, weight in model.graph.initializers.items():
        array = weight.const_value.numpy().astype(np.float64)
        values[name] = array, np.zeros(array.shape)
    names = {product.node: product.name for product in products(model)}
    for node in model.graph:
        inputs = [values[value.name] for value in node.inputs]
        if node in names:
            result = _product(node, inputs, _settings(recipe, names[node], node, group), recipe)
        else:
            result = _ELEMENTWISE[node.op_type](node, *inputs)
        result = result[0], result[1] + ROUNDING * np.abs(result[0])
        values[node.outputs[0].name] = result
    return values


def _settings(recipe, name, node, group):
    """(scale of x or None, s [K] or 1) of a product; the migration also reaches a product that is not quantised."""
    if recipe is None:
        return None, 1.0
    for activation in recipe.activations:
        if name in activation.products:
            return activation.ranges[group] / LARGEST[recipe.precision], np.float64(activation.migration or 1.0)
    return None, 1.0


def _product(node, inputs, settings, recipe):
    (x, e), (w, _), *bias = inputs
    w = w.T if node.op_type == "Gemm" else w
    y, magnitude = x @ w, (np.abs(x) + e) @ np.abs(w)
    error = e @ np.abs(w) + ROUNDING * magnitude
    scale, factors = settings
    if scale is not None:
        top = scale * LARGEST[recipe.precision]
        rows = w * np.reshape(factors, (-1, 1))
        columns = np.abs(rows).max(axis=0) / LARGEST[recipe.precision]
        dx = factors * (
            _step(recipe, (np.abs(x) + e) / factors, scale) + np.maximum((np.abs(x) + e) / factors - top, 0)
        )
        dw = _step(recipe, np.abs(rows), columns) / np.reshape(factors, (-1, 1))
        error = error + dx @ np.abs(w) + (np.abs(x) + e + dx) @ dw
    if bias:
        y = y + bias[0][0]
    return y, error


def _step(recipe, magnitude, scale):
    """How far a number may be from its code's: half a step of INT8; of E4M3, 2⁻⁴ of it or half a subnormal step.

    A scale may be one of float16's 2⁻¹⁰ above what was asked for, or one of its subnormal steps, which a later
    migration makes up to 4 times as long.
    """
    scale = scale * (1 + 2.0**-10) + 4 * 2.0**-24
    return scale / 2 + 0 * magnitude if recipe.precision == "int8" else magnitude * 2.0**-4 + scale * 2.0**-10


def _sigmoid(node, x):
    return 0.5 * (1 + np.tanh(x[0] / 2)), x[1] / 4


def _add(node, a, b):
    sign = -1 if node.op_type == "Sub" else 1
    return a[0] + sign * b[0], a[1] + b[1] + ROUNDING * (np.abs(a[0]) + np.abs(b[0]))


def _multiply(node, a, b):
    return a[0] * b[0], a[1] * np.abs(b[0]) + np.abs(a[0]) * b[1] + a[1] * b[1]


def _divide(node, a, b):
    return a[0] / b[0], a[1] / np.abs(b[0])


def _transpose(node, x):
    order = node.attributes["perm"].as_ints()
    return x[0].transpose(order), x[1].transpose(order)


def _norm(node, x, weight):
    mean, deviation = x[0].mean(-1, keepdims=True), x[0].std(-1, keepdims=True)
    return (x[0] - mean) / np.sqrt(deviation**2 + 1e-5) * weight[0], np.full(x[1].shape, np.inf)


_ELEMENTWISE = {
    "Sigmoid": _sigmoid,
    "Add": _add,
    "Sub": _add,
    "Mul": _multiply,
    "Div": _divide,
    "Transpose": _transpose,
    "LayerNormalization": _norm,
}


def checked(model):
    """A model's file, after ONNX's checker and its strict inference of types and shapes."""
    schema.register()
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True, data_prop=True)
    return proto.SerializeToString()


def prepared(model, inside=()):
    """A session of a model that also gives values inside, by name; not optimised: each rounding as it is written."""
    file = checked(model)
    if inside:
        proto = onnx.load_from_string(file)
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inside)
        file = proto.SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def run(model, feeds):
    """What ONNX Runtime makes of a model, by the outputs' names."""
    session = prepared(model)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
