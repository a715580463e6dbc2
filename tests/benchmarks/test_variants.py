"""Edits of the denoiser that a GPU is to judge: they compute the same, are well typed, and TensorRT takes them."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import sit
import torch
import trt_step
import variants

from fdcn.bundle import Extent, Profile
from fdcn.errors import FdcnError
from fdcn.export.passes.embed_operator import embed_operator
from fdcn.plugins import flavours

ARCHITECTURE = sit.Architecture(blocks=2, hidden=32, heads=4, classes=10)
EDITS = {**variants.FLOWDCN, "half softmax": variants.half_softmax}
CHANGED = {
    "joined SwiGLU": lambda blocks: {"MatMul": -blocks, "Split": blocks},
    "half stream": lambda blocks: {"Cast": 4 * blocks},
    "rows first": lambda blocks: {"Transpose": 3},
    "half softmax": lambda blocks: {"Cast": -2 * blocks},
}
"""What is in the graph then, over what was there before."""


@pytest.fixture(scope="module")
def sit_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sit")
    torch.manual_seed(0)
    torch.save(sit.random_tensors(ARCHITECTURE), folder / "sit.pth")
    return sit.export_bundle(folder / "sit.pth", ARCHITECTURE, (64, 32), folder / "bundle")


@pytest.fixture(params=EDITS)
def case(request):
    """(name of an edit, the bundle it is for)."""
    return request.param, request.getfixturevalue("sit_bundle" if "softmax" in request.param else "tiny_bundle")


def run(prepared, bundle):
    model = ir.load(prepared.path)
    embed_operator(model)
    ir.save(model, prepared.path, external_data=f"{prepared.path.stem}-again.data")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(prepared.path, options, providers=["CPUExecutionProvider"])
    rng, m = np.random.default_rng(0), bundle.manifest.model
    hidden = m.architecture["hidden"]
    feeds = {
        "latent": rng.standard_normal((3, 4, 4, 8)).astype(np.float32),
        "modulation": rng.standard_normal((3, m.blocks, 6, hidden)).astype(np.float32),
        "final": rng.standard_normal((3, 2, hidden)).astype(np.float32),
        "s_max": np.full((3, m.blocks, 2), 0.5, np.float32) * np.arange(1, 4)[:, None, None],
    }
    names = {value.name for value in session.get_inputs()}
    return session.run(None, {name: array.astype(np.float32) for name, array in feeds.items() if name in names})[0]


def counted(path):
    return Counter(node.op_type for node in ir.load(path).graph)


def test_the_edited_graph_computes_the_same(case, tmp_path):
    name, bundle = case
    (tmp_path / "before").mkdir()
    before = trt_step.edited(bundle, "float16", tmp_path / "before", None)
    after = trt_step.edited(bundle, "float16", tmp_path, EDITS[name])
    difference = counted(after.path)
    difference.subtract(counted(before.path))
    changed = {op: n for op, n in difference.items() if n}
    assert changed == CHANGED[name](bundle.manifest.model.blocks)
    want, got = run(before, bundle), run(after, bundle)
    if name in ("joined SwiGLU", "rows first"):
        # The products may be summed in another order.
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-2 * np.abs(want).max())
    a, b = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.999


@pytest.mark.large
def test_tensorrt_builds_the_edited_graph(case, tmp_path):
    name, bundle = case
    try:
        flavours.load("tensorrt-rtx")
    except FdcnError as error:
        pytest.skip(f"no engine was built: {error}")
    size = Profile(*[Extent(64, 32, 2)] * 3)
    parsed = {}
    for edit in (None, EDITS[name]):
        path = tmp_path / "denoiser.engine"
        parsed[edit] = trt_step.build(bundle, "float16", [size], path, edit, "tensorrt-rtx", ("sm_86",))
        assert path.stat().st_size > 100_000
    assert parsed[None] != parsed[EDITS[name]]
