"""The manifest and the atomic replacement of a bundle's content."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.bundle import MANIFEST, Bundle, Graph, Manifest, Memory, Model, Sampling, drafting
from fdcn.errors import FdcnError


def manifest(graphs):
    return Manifest(
        format=1,
        fdcn="0",
        model=Model("flowdcn", {"blocks": 2}, 2, 1, 3, 2, 10, "ema", "0" * 64),
        sampling=Sampling("euler", 4, 1.5, 6.0, False),
        memory=Memory(100, 0, 0),
        operator="fdcn::MultiScaleDCN-1",
        train_size=[28, 28],
        mixed_aspect=True,
        fixed_size=None,
        pixel_factor=1,
        class_names=["a", "é", "c"],
        graphs=graphs,
        engines=[],
        files={},
    )


def write(path, content=b"graph", weights=b"weights"):
    with drafting(path, "graphs") as draft:
        (draft.path / "denoiser.onnx").write_bytes(content)
        (draft.path / "denoiser.onnx.data").write_bytes(weights)
        graph = Graph(draft.inside("denoiser.onnx"), [draft.inside("denoiser.onnx.data")])
        return draft.commit(manifest({"conditioner": graph, "denoiser": graph}))


def test_round_trip(tmp_path):
    written = write(tmp_path / "b")
    opened = Bundle.open(tmp_path / "b")
    assert opened.manifest == written.manifest
    assert opened.graph(opened.manifest.graphs["denoiser"]).read_bytes() == b"graph"
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert modes == {0o644}


def test_replacing_leaves_only_the_new_files_and_what_is_not_ours(tmp_path):
    path = tmp_path / "b"
    write(path)
    (path / "notes").mkdir()
    (path / "notes" / "mine.txt").write_text("keep")
    write(path, b"newer")
    opened = Bundle.open(path)
    assert opened.graph(opened.manifest.graphs["denoiser"]).read_bytes() == b"newer"
    assert {p.name for p in path.iterdir()} == {
        MANIFEST,
        "notes",
        opened.manifest.graphs["denoiser"].file.split("/")[0],
    }


def test_a_draft_that_fails_leaves_the_old_bundle(tmp_path):
    path = tmp_path / "b"
    before = write(path).manifest
    with pytest.raises(RuntimeError, match="midway"), drafting(path, "graphs") as draft:
        (draft.path / "denoiser.onnx").write_bytes(b"half")
        raise RuntimeError("midway")
    assert Bundle.open(path).manifest == before
    assert len(list(path.iterdir())) == 2


def test_a_draft_that_fails_leaves_no_folder_where_none_was(tmp_path):
    with pytest.raises(RuntimeError), drafting(tmp_path / "b", "graphs"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["denoiser.onnx", "denoiser.onnx.data"])
@pytest.mark.parametrize(
    ("damage", "says"), [(lambda b: b[:-1], "bytes"), (lambda b: b"X" + b[1:], "sha256"), (None, "missing")]
)
def test_damaged_files_are_named(tmp_path, name, damage, says):
    bundle = write(tmp_path / "b")
    (victim,) = (tmp_path / "b").rglob(name)
    if damage:
        victim.write_bytes(damage(victim.read_bytes()))
    else:
        victim.unlink()
    opened = Bundle.open(tmp_path / "b")
    with pytest.raises(FdcnError, match=f"{name}.*{says}.*fdcn export"):
        opened.graph(bundle.manifest.graphs["denoiser"])


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 2}', '{"format": 1}', '{"format": 1, "model": 3}']
)
def test_damaged_manifests_are_refused_in_a_sentence(tmp_path, content):
    write(tmp_path / "b")
    (tmp_path / "b" / MANIFEST).write_text(content)
    with pytest.raises(FdcnError, match=r"fdcn export"):
        Bundle.open(tmp_path / "b")


def test_no_bundle(tmp_path):
    with pytest.raises(FdcnError, match="does not exist; make one: fdcn export"):
        Bundle.open(tmp_path / "b")
    with pytest.raises(FdcnError, match="is not a bundle"):
        Bundle.open(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.data())
def test_any_edit_of_a_field_opens_or_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("b")
    content = dataclasses.asdict(write(path).manifest)
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    (path / MANIFEST).write_text(json.dumps(content))
    try:
        Bundle.open(path)
    except FdcnError as error:
        assert "\n" not in str(error)
