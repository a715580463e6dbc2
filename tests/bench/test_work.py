"""What a pass computes and moves, in closed form, against a count over the exported graphs."""

import math

import onnx
import pytest

from fdcn.bench.work import denoiser
from fdcn.bundle import Model


def counted(bundle, rows, height, width):
    """FLOP of a denoiser's products, and bytes of its weights, inputs and outputs, read from the file."""
    path = bundle.graph(bundle.manifest.graphs["denoiser"])
    graph = onnx.load(path, load_external_data=False).graph
    weights = {
        tensor.name: tuple(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    }
    side = bundle.manifest.model.patch
    tokens = rows * (height // side) * (width // side)
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm", "Conv")]
    assert {node.op_type for node in products} == {"MatMul"}
    flop = sum(2 * tokens * math.prod(weights[node.input[1]]) for node in products)
    sizes = {"H": height, "W": width}
    edges = 0
    for value in [*graph.input, *graph.output]:
        rest = value.type.tensor_type.shape.dim[1:]
        named = [dim.dim_value or sizes[("H", "W")[i - 1]] for i, dim in enumerate(rest)]
        edges += 4 * rows * math.prod(named)
    return flop, sum(4 * math.prod(shape) for shape in weights.values()) + edges


@pytest.mark.parametrize(("rows", "width", "height"), [(1, 8, 8), (2, 24, 16), (6, 40, 40)])
@pytest.mark.parametrize("name", ["tiny_bundle", "shipped_bundle"])
def test_the_closed_form_is_what_the_graph_has(request, name, rows, width, height):
    bundle = request.getfixturevalue(name)
    factor = bundle.manifest.pixel_factor
    found = denoiser(bundle.manifest.model, "float32", (width * factor, height * factor), factor, rows)
    flop, size = counted(bundle, rows, height, width)
    assert found.flop == flop
    assert found.bytes == pytest.approx(size, rel=1e-3)  # it leaves out the prior and scalars


def model(family="flowdcn", **architecture):
    return Model(family, architecture, architecture["blocks"], 4, 1000, 2, 0, "ema", "")


XL2 = {"blocks": 28, "hidden": 1152, "groups": 16, "ffn": 3072, "taps": 9}


def test_the_largest_model_s_guided_step():
    found = denoiser(model(**XL2), "float16", (256, 256), 8, 2)
    assert found.flop == pytest.approx(0.40e12, rel=0.01)
    assert found.bytes == pytest.approx(0.79e9, rel=0.01)
    wider = denoiser(model(**XL2), "bfloat16", (512, 256), 8, 2)
    assert wider.flop == 2 * found.flop
    assert wider.bytes < 1.01 * found.bytes
    assert denoiser(model(**XL2), "float32", (256, 256), 8, 2).bytes > 1.98 * found.bytes


def test_sizes_are_those_of_the_latent():
    assert denoiser(model(**XL2), "float16", (250, 241), 8, 2) == denoiser(model(**XL2), "float16", (256, 256), 8, 2)


def test_other_families_are_not_guessed():
    assert denoiser(model("another", **XL2), "float16", (256, 256), 8, 2) is None
