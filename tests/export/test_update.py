"""New weights in a bundle that is there."""

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.engine import build_onnxruntime
from fdcn.export.exporter import Options, export
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.update import update

SMALL = Architecture(blocks=2, hidden=8, groups=2, ffn=10, channels=1, out_channels=1, classes=3)


def checkpoint(path, seed, arch=SMALL, equal=()):
    """Random weights, but for those that are to be equal, which are ones; the taps' grid is the same in every block."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in arch.shapes().items()}
    for name in tensors:
        if name.endswith("prior"):
            tensors[name] = tensors["blocks.0.attn.deformables_prior"]
        if name in equal:
            tensors[name] = torch.ones_like(tensors[name])
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two bundles: of `checkpoint`'s seed 0, and of 1, which is what an update must come to."""
    folder, settings = tmp_path_factory.mktemp("update"), Options(train_size=(8, 8), mixed_aspect=True)
    return [export(checkpoint(folder / f"{seed}.pth", seed), folder / str(seed), settings) for seed in (0, 1)]


@pytest.fixture
def bundle(exported, tmp_path):
    shutil.copytree(exported[0].path, tmp_path / "model")
    return Bundle.open(tmp_path / "model")


def assert_same_graphs(got: Bundle, want: Bundle) -> None:
    """Every node and weight is the same; only what says which file's weights they are may differ, in the decoder."""
    assert got.manifest.graphs.keys() == want.manifest.graphs.keys()
    for name in want.manifest.graphs:
        a, b = (onnx.load(each.graph(each.manifest.graphs[name])).graph for each in (got, want))
        assert list(a.node) == list(b.node)
        weights = [{t.name: numpy_helper.to_array(t) for t in graph.initializer} for graph in (a, b)]
        assert weights[0].keys() == weights[1].keys()
        for each in weights[0]:
            np.testing.assert_array_equal(weights[0][each], weights[1][each])


def test_an_update_is_an_export_of_the_new_weights(bundle, exported, tmp_path):
    new = checkpoint(tmp_path / "new.pth", 1)
    lines = []
    updated = update(bundle.path, new, report=lines.append)
    assert lines == ["updated conditioner", "updated denoiser"]
    assert updated.manifest == Bundle.open(bundle.path).manifest
    assert_same_graphs(updated, exported[1])
    assert updated.manifest.model == exported[1].manifest.model
    assert updated.manifest.mixed_aspect
    assert len(list(bundle.path.iterdir())) == 2


def test_the_same_weights_change_nothing(bundle, tmp_path):
    lines = []
    old = checkpoint(tmp_path / "old.pth", 0)
    assert update(bundle.path, old, report=lines.append).manifest == bundle.manifest
    assert lines == [f"{bundle.path} has these weights already"]


def test_weights_that_were_equal_and_differ_are_exported_again(exported, tmp_path):
    equal = ("blocks.0.norm1.weight", "blocks.1.norm1.weight")
    old = checkpoint(tmp_path / "old.pth", 0, equal=equal)
    bundle = export(old, tmp_path / "model", Options(train_size=(8, 8)))
    new = checkpoint(tmp_path / "new.pth", 1)
    lines = []
    updated = update(bundle.path, new, report=lines.append)
    assert lines[1] == "denoiser: blocks.1.norm1 and blocks.0.norm1 were equal, so it is exported again"
    assert_same_graphs(updated, exported[1])


def test_engines_take_the_weights_or_are_dropped_with_a_command(bundle, exported, tmp_path, monkeypatch):
    from fdcn.export.tensorrt_engine import build
    from fdcn.export.tensorrt_target import Options as Target
    from fdcn.plugins import flavours

    monkeypatch.setattr("fdcn.gpu.first", lambda: None)
    try:
        flavours.load("tensorrt-rtx")
    except FdcnError as error:
        pytest.skip(f"no engine to drop: {error}")
    build_onnxruntime(bundle, native=False)
    build(bundle, Target("float16", ("sm_86",), plugin="none"))
    new = checkpoint(tmp_path / "new.pth", 1)
    lines = []
    updated = update(bundle.path, new, report=lines.append)
    (engine,) = updated.manifest.engines
    assert lines[2] == f"updated {engine.key}"
    assert lines[3].endswith(
        f"built without --refit; build it again: fdcn build {bundle.path} --fp16 --gpu sm_86 "
        "--profile 2x2x1:8x8x2:24x24x8 --plugin none"
    )
    shutil.copytree(exported[1].path, tmp_path / "wanted")
    wanted = build_onnxruntime(Bundle.open(tmp_path / "wanted"), native=False)
    for name, graph in wanted.manifest.engines[0].graphs.items():
        want = onnx.load(wanted.graph(graph)).graph
        assert onnx.load(updated.graph(engine.graphs[name])).graph.initializer == want.initializer


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (dataclasses.replace(SMALL, blocks=3), "blocks 3, there 2"),
        (dataclasses.replace(SMALL, classes=4), "classes 4, there 3"),
    ],
)
def test_another_architecture_is_refused(bundle, tmp_path, other, says):
    with pytest.raises(FdcnError, match=f"{says}.*fdcn export"):
        update(bundle.path, checkpoint(tmp_path / "other.pth", 1, other))
    assert Bundle.open(bundle.path).manifest == bundle.manifest


def test_an_update_that_fails_leaves_the_old_bundle(bundle, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("midway")

    monkeypatch.setattr("fdcn.export.update.write", fail)
    with pytest.raises(RuntimeError, match="midway"):
        update(bundle.path, checkpoint(tmp_path / "new.pth", 1))
    assert Bundle.open(bundle.path).manifest == bundle.manifest
    assert len(list(bundle.path.iterdir())) == 2
