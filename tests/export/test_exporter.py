"""Exported bundles: what is in the files, and what settings they take from where."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from oracles import assert_close
from safetensors.torch import save_file

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.exporter import Options, export
from fdcn.export.models.flowdcn.architecture import Architecture

VELOCITY = 5e-5
SMALL = Architecture(blocks=1, hidden=8, groups=2, ffn=10, channels=1, out_channels=1, classes=3)


@pytest.fixture
def small(tmp_path):
    """A checkpoint of a pixel-space model that says nothing of itself."""
    torch.manual_seed(0)
    path = tmp_path / "small.pth"
    torch.save({name: 0.1 * torch.randn(shape) for name, shape in SMALL.shapes().items()}, path)
    return path


def session(bundle, graph):
    return ort.InferenceSession(bundle.graph(bundle.manifest.graphs[graph]), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", ["8x8", "8x20", "16x6"])
def test_golden_velocity_in_onnx_runtime(tiny_bundle, golden, size):
    arrays = np.load(golden / f"velocity_{size}.npz")
    x, t, y = (arrays[name] for name in "xty")
    modulation, final = session(tiny_bundle, "conditioner").run(None, {"t": t, "label": y.astype(np.int64)})
    rows = np.arange(3) * 4  # row s·B + b with s = b
    feeds = {
        "latent": x,
        "modulation": modulation[rows],
        "final": final[rows],
        "s_max": np.full((3, 11, 2), 6, np.float32),
    }
    (got,) = session(tiny_bundle, "denoiser").run(None, feeds)
    assert_close(got, arrays["v"], VELOCITY, 0)


def test_files_say_what_they_are(tiny_bundle):
    for name, graph in tiny_bundle.manifest.graphs.items():
        model = onnx.load(tiny_bundle.graph(graph), load_external_data=False)
        assert {o.domain: o.version for o in model.opset_import}[""] == 20
        assert model.graph.name == name
        assert model.producer_name == "fdcn"
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert metadata["fdcn.weights_sha256"] == tiny_bundle.manifest.model.weights_sha256
        assert {t.data_type for t in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
        # Nothing of the machine that exported.
        assert b"site-packages" not in model.SerializeToString()


def test_denoiser_has_named_dynamic_axes_and_plugin_nodes(tiny_bundle):
    model = onnx.load(tiny_bundle.graph(tiny_bundle.manifest.graphs["denoiser"]), load_external_data=False)
    axes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    assert axes == {
        "latent": ["batch", 4, "height", "width"],
        "modulation": ["batch", 11, 6, 64],
        "final": ["batch", 2, 64],
        "s_max": ["batch", 11, 2],
    }
    assert [v.name for v in model.graph.output] == ["velocity"]
    nodes = [n for n in model.graph.node if n.op_type == "MultiScaleDCN"]
    assert len(nodes) == 11
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in nodes[0].attribute}
    assert attributes == {"groups": 4, "taps": 9, "plugin_namespace": b"fdcn", "plugin_version": b"1"}
    shapes = {t.name: list(t.dims) for t in model.graph.initializer}
    assert [64, 172 + 4] in shapes.values()  # FFN of 170 padded to 176
    assert [64, 16] in shapes.values()  # head: 2·2·4 rows, sigma's cut


def test_fixed_size(small, tmp_path):
    bundle = export(small, tmp_path / "fixed", Options(size=(9, 6), train_size=(8, 8)))
    model = onnx.load(bundle.graph(bundle.manifest.graphs["denoiser"]), load_external_data=False)
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 1, 6, 10]
    from fdcn.runtime.pipeline import Pipeline

    pipe = Pipeline(bundle)
    assert pipe([0, 1, 2], steps=5).pixels.shape == (3, 6, 9, 1)
    with pytest.raises(FdcnError, match="9x6 alone"):
        pipe([0], size=(12, 6))


def test_settings_come_from_options_then_metadata_then_the_old_bundle(tmp_path):
    tensors = {name: 0.1 * torch.randn(shape) for name, shape in SMALL.shapes().items()}
    silent, speaking = tmp_path / "silent.pth", tmp_path / "speaking.safetensors"
    torch.save(tensors, silent)
    names = json.dumps(["a", "b", "c"])
    save_file(tensors, speaking, {"fdcn.train_size": "12x8", "fdcn.class_names": names, "fdcn.mixed_aspect": "true"})
    out = tmp_path / "bundle"
    with pytest.raises(FdcnError, match="--train-size"):
        export(silent, out)
    assert not out.exists()
    first = export(speaking, out).manifest
    assert (first.train_size, first.class_names, first.mixed_aspect) == ([12, 8], ["a", "b", "c"], True)
    assert first.sampling.s_max_adjust is False
    again = export(silent, out).manifest
    assert (again.train_size, again.class_names, again.mixed_aspect) == ([12, 8], ["a", "b", "c"], True)
    told = export(speaking, out, Options(train_size=(4, 4), mixed_aspect=False)).manifest
    assert (told.train_size, told.mixed_aspect, told.sampling.s_max_adjust) == ([4, 4], False, True)


@pytest.mark.parametrize(
    ("content", "says"), [("a\nb\n", "2 class names"), ("a\nb\na\n", "two classes 'a'"), ("[1, 2, 3]", "list of texts")]
)
def test_class_names_that_do_not_fit(small, tmp_path, content, says):
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(FdcnError, match=says):
        export(small, tmp_path / "b", Options(train_size=(8, 8), class_names=str(tmp_path / "names.txt")))


def test_class_names_from_a_file(small, tmp_path):
    (tmp_path / "names.txt").write_text("shoe\nhat\n\nbag\n", "utf-8")
    bundle = export(small, tmp_path / "b", Options(train_size=(8, 8), class_names=str(tmp_path / "names.txt")))
    assert bundle.manifest.class_names == ["shoe", "hat", "bag"]


def test_torch_is_in_the_range_that_was_tried():
    """The declared range is the one that works: its ends are tried by hand, what is installed by every other test."""
    import importlib.metadata

    from packaging.requirements import Requirement

    declared = next(r for r in map(Requirement, importlib.metadata.requires("fdcn")) if r.name == "torch")
    assert declared.specifier.contains("2.11.0")
    assert declared.specifier.contains("2.13.0")
    assert declared.specifier.contains(torch.__version__.split("+")[0])


def test_export_reports_its_steps(small, tmp_path):
    lines = []
    export(small, tmp_path / "b", Options(train_size=(8, 8)), lines.append)
    assert lines[1:] == ["exported conditioner", "exported denoiser", "exported decoder"]


def test_bundle_of_a_pixel_model_decodes_to_its_latent(small, tmp_path):
    bundle = export(small, tmp_path / "b", Options(train_size=(8, 8)))
    latent = np.random.default_rng(0).standard_normal((2, 1, 4, 6)).astype(np.float32)
    (pixels,) = session(Bundle.open(bundle.path), "decoder").run(None, {"latent": latent})
    np.testing.assert_array_equal(pixels, latent)
