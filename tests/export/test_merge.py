"""Two bundles of one model become one. Engines are files like any other here."""

import dataclasses
import shutil

import pytest

from fdcn.bundle import Bundle, Engine, Extent, Graph, Plugin, Profile, Target, drafting, engine_key
from fdcn.errors import FdcnError
from fdcn.export.merge import merge

SIZES = [Profile(*[Extent(28, 28, 2)] * 3)]


def add(bundle: Bundle, compute: str, content: bytes) -> Bundle:
    """Give a bundle an engine with a plugin library."""
    with drafting(bundle.path, "engine") as draft:
        (draft.path / "denoiser.engine").write_bytes(content)
        (draft.path / "library.so").write_bytes(b"code")
        plugin = Plugin("library", 1, "0" * 64, draft.inside("library.so"))
        target = Target("tensorrt", "10.6", [compute], "12", None, "float16", SIZES, plugin, {}, None, False, "")
        engine = Engine(
            "tensorrt", engine_key(target), {"denoiser": Graph(draft.inside("denoiser.engine"), [])}, target
        )
        engines = [*bundle.manifest.engines, engine]
        return draft.commit(dataclasses.replace(bundle.manifest, engines=engines))


@pytest.fixture
def pair(tiny_bundle, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(tiny_bundle.path, tmp_path / name)
    first = add(add(Bundle.open(tmp_path / "a"), "sm_80", b"80"), "sm_86", b"old 86")
    return first, add(add(Bundle.open(tmp_path / "b"), "sm_86", b"new 86"), "sm_90", b"90")


@pytest.mark.parametrize("output", [None, "c"])
def test_merge(pair, tmp_path, output):
    a, b = pair
    merged = merge(a.path, b.path, tmp_path / output if output else None)
    opened = Bundle.open(tmp_path / (output or "a"))
    assert opened.manifest == merged.manifest
    contents = {
        engine.target.compute[0]: opened.graph(engine.graphs["denoiser"]).read_bytes()
        for engine in opened.manifest.engines
    }
    assert contents == {"sm_80": b"80", "sm_86": b"new 86", "sm_90": b"90"}
    for engine in opened.manifest.engines:
        assert opened.file(engine.target.plugin.file).read_bytes() == b"code"
    for graph in opened.manifest.graphs.values():
        opened.graph(graph)
    assert Bundle.open(b.path).manifest == b.manifest
    on_disk = {str(path.relative_to(opened.path)) for path in opened.path.rglob("*") if path.is_file()}
    if output:
        assert on_disk == {*opened.manifest.files, "manifest.json"}
        assert Bundle.open(a.path).manifest == a.manifest


def test_graphs_keep_their_weights(pair, tmp_path):
    from fdcn.export.engine import build_onnxruntime
    from fdcn.runtime.pipeline import Pipeline

    a, b = pair
    build_onnxruntime(b, native=False)
    merged = merge(a.path, b.path, tmp_path / "c")
    assert merged.manifest.engines[-1].backend == "onnxruntime"
    assert Pipeline(merged, "onnxruntime")([0], size=(32, 32), steps=5).pixels.shape == (1, 32, 32, 3)


def test_a_damaged_engine_is_not_merged(pair):
    a, b = pair
    victim = b.path / b.manifest.engines[0].graphs["denoiser"].file
    victim.write_bytes(b"bad 86")
    with pytest.raises(FdcnError, match=r"denoiser\.engine was changed"):
        merge(a.path, b.path)
    assert Bundle.open(a.path).manifest == a.manifest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: {"model": dataclasses.replace(m.model, weights_sha256="1" * 64)}, "other weights.*fdcn update"),
        (lambda m: {"fixed_size": [32, 32]}, "exported differently.*fixed_size"),
    ],
)
def test_other_bundles_are_refused(pair, change, says):
    a, b = pair
    changed = dataclasses.replace(b.manifest, **change(b.manifest))
    (b.path / "manifest.json").write_text(changed.to_json())
    with pytest.raises(FdcnError, match=says):
        merge(a.path, b.path)


def test_an_output_that_is_there(pair):
    a, b = pair
    with pytest.raises(FdcnError, match="there already"):
        merge(a.path, b.path, a.path)
