"""Manifests, whole and damaged, and the files that they name: C++ reads the same, or refuses in the same words."""

import copy
import dataclasses
import json
import os
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_manifest import manifest

from fdcn.bundle import MANIFEST, Bundle, File, Graph, sha256
from fdcn.errors import FdcnError

PARITY = settings(max_examples=150, deadline=None)
WHOLE = dataclasses.asdict(manifest())


def as_answer(m):
    """A manifest as `parity` writes what C++ keeps of it."""

    def graphs(of):
        return {name: dataclasses.asdict(each) for name, each in of.items()}

    def target(t):
        kept = {name: getattr(t, name) for name in ("flavour", "version", "compute", "cuda", "driver", "precision")}
        ends = [[p.min, p.opt, p.max] for p in t.profiles]
        kept["profiles"] = [[list(dataclasses.astuple(end)) for end in profile] for profile in ends]
        return kept | {
            "plugin": list(dataclasses.astuple(t.plugin)),
            "workspace": t.workspace,
            "refittable": t.refittable,
        }

    engines = [
        {
            "backend": engine.backend,
            "key": engine.key,
            "precision": engine.precision,
            "graphs": graphs(engine.graphs),
            "target": target(engine.target) if engine.target else None,
            "step_groups": [[group.until, group.graph] for group in engine.step_groups],
        }
        for engine in m.engines
    ]
    return {
        "model": [m.model.blocks, m.model.channels, m.model.classes, m.model.patch],
        "sampling": list(dataclasses.astuple(m.sampling)),
        "memory": list(dataclasses.astuple(m.memory)),
        "train_size": m.train_size,
        "fixed_size": m.fixed_size,
        "pixel_factor": m.pixel_factor,
        "class_names": m.class_names,
        "graphs": graphs(m.graphs),
        "engines": engines,
        "files": {name: list(dataclasses.astuple(file)) for name, file in m.files.items()},
        "paths": sorted(m.paths()),
    }


def assert_same(parity, path):
    """Both open a bundle alike, or refuse it with one sentence. Says whether it was opened."""
    try:
        opened = Bundle.open(path)
    except FdcnError as error:
        with pytest.raises(FdcnError) as refused:
            parity("open", path=str(path))
        assert str(refused.value) == str(error)
        return False
    assert parity("open", path=str(path)) == as_answer(opened.manifest)
    return True


def written(folder, content):
    (folder / MANIFEST).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return folder


def test_a_whole_manifest(parity, tmp_path):
    assert assert_same(parity, written(tmp_path, WHOLE))
    assert assert_same(parity, written(tmp_path, manifest().to_json()))


def test_manifests_from_before_engines_had_targets(parity, tmp_path):
    old = copy.deepcopy(WHOLE)
    del old["calibration"]
    for engine in old["engines"]:
        for name in ("target", "step_groups", "recipe_sha256"):
            del engine[name]
    old["files"] |= {"unused": {"bytes": 0, "sha256": ""}}
    assert assert_same(parity, written(tmp_path, old))


ODD = [
    "",
    "{",
    "[]",
    "null",
    "3",
    '"1"',
    '{"format": 2}',
    '{"format": 1}',
    '{"format": true}',
    '{"format": 1.0}',
    "NaN",
    '{"format": "1\\n\'"}',
    '{"format": null}',
    '{"format": [1.5, {"a": "\\u200b", "b": false}]}',
    '{"format": 1e400}',
    '{"format": 1, "model": 3}',
    '{"format": 12345678901234567890123}',
    '{"format": 2, "format": 1}',
]


@pytest.mark.parametrize("content", ODD)
def test_other_texts(parity, tmp_path, content):
    assert not assert_same(parity, written(tmp_path, content))


def places(content, before=()):
    """Every path through a JSON value."""
    yield before
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in inside:
        yield from places(value, (*before, name))


PLACES = [place for place in places(WHOLE) if place]
NASTY = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    1.0,
    0.5,
    1e300,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    "",
    "x",
    "é\n",
    [],
    {},
    [1],
    [1, 2],
    [0, 5],
    [1, 2, 3],
    ["a"],
    {"a": 1},
    {"a\x00": {}},
    999_999_999,
    1_000_000_000,
    1_001,
]


def changed(place, value):
    content = copy.deepcopy(WHOLE)
    within = content
    for name in place[:-1]:
        within = within[name]
    within[place[-1]] = value
    return content


def test_every_field_as_something_else(parity, tmp_path):
    choose = random.Random(1)
    for place in PLACES:
        for value in choose.sample(NASTY, 4):
            assert_same(parity, written(tmp_path, changed(place, value)))


def test_every_field_missing_misnamed_or_twice(parity, tmp_path):
    for place in PLACES:
        content = copy.deepcopy(WHOLE)
        within = content
        for name in place[:-1]:
            within = within[name]
        held = within[place[-1]]
        del within[place[-1]]
        assert_same(parity, written(tmp_path, content))
        if isinstance(within, dict):
            for name in (f"{place[-1]}x", "A", "\u200bz"):
                assert_same(parity, written(tmp_path, changed((*place[:-1], name), held)))


def test_numbers_that_a_run_calculates_with(parity, tmp_path):
    """Each is taken at its ends and refused one beyond them."""
    for place, least, most in [
        (("model", "blocks"), 1, 1_000),
        (("model", "channels"), 1, 999_999_999),
        (("model", "patch"), 1, 999_999_999),
        (("memory", "token"), 1, 999_999_999),
        (("train_size", 0), 1, 999_999_999),
        (("pixel_factor",), 1, 999_999_999),
        (("engines", 1, "target", "profiles", 1, "max", "batch"), 1, 999_999_999),
    ]:
        for value, taken in [(least, True), (most, True), (least - 1, False), (most + 1, False)]:
            assert assert_same(parity, written(tmp_path, changed(place, value))) is taken, (place, value)


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("graphs",), {}, "manifest.graphs: conditioner is missing"),
        (("graphs", "denoiser", "file"), "", "manifest.graphs.denoiser.file is missing"),
        (("engines", 0, "graphs", "denoiser", "data"), ["a", ""], "engines[0].graphs.denoiser.data[1] is missing"),
        (("engines", 0, "graphs"), {}, "manifest.engines[0].graphs: conditioner is missing"),
        (("engines", 0, "step_groups"), [{"until": 1, "graph": "other"}], "engines[0].graphs: other is missing"),
    ],
)
def test_graphs_that_a_run_asks_for(parity, tmp_path, place, value, wrong):
    assert not assert_same(parity, written(tmp_path, changed(place, value)))
    with pytest.raises(FdcnError, match=re.escape(wrong)):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("place", [("fixed_size",), ("class_names",), ("engines",), ("calibration",)])
def test_fields_that_may_be_null_or_empty(parity, tmp_path, place):
    for value in (None, [], [28, 56], ["a", "b", "c", "d", "e"], ["a"]):
        assert_same(parity, written(tmp_path, changed(place, value)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@PARITY
@given(st.sampled_from(PLACES), JSON)
def test_any_edit_of_a_field(parity, tmp_path_factory, place, value):
    assert_same(parity, written(tmp_path_factory.mktemp("edited"), changed(place, value)))


@PARITY
@given(st.data())
def test_any_damage(parity, tmp_path_factory, data):
    """Cut off, a byte changed, taken out or put in, a stretch said twice."""
    folder = tmp_path_factory.mktemp("damaged")
    whole = manifest().to_json().encode()
    place = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, 30))
    between = data.draw(st.just(b"") | st.binary(max_size=3) | st.just(whole[place : place + length] * 2))
    (folder / MANIFEST).write_bytes(whole[:place] + between + whole[place + length :])
    assert_same(parity, folder)


@pytest.mark.parametrize("name", ["absent", "file", "file/inside", "a" * 300, "é 'quoted'", "link", "folder//./"])
def test_folders_that_are_no_bundles(parity, tmp_path, monkeypatch, name):
    (tmp_path / "file").write_text("content")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    assert not assert_same(parity, tmp_path / name)


def test_a_manifest_that_is_a_folder(parity, tmp_path):
    (tmp_path / MANIFEST).mkdir()
    assert not assert_same(parity, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_manifest_that_nobody_may_read(parity, tmp_path):
    written(tmp_path, WHOLE)
    (tmp_path / MANIFEST).chmod(0)
    assert not assert_same(parity, tmp_path)


@pytest.fixture
def bundle(tmp_path):
    """A bundle whose files are there, each with its name as its content."""
    whole = manifest()
    for name in whole.files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = {name: File(len(name), sha256(tmp_path / name)) for name in whole.files}
    written(tmp_path, dataclasses.replace(whole, files=files).to_json())
    return Bundle.open(tmp_path)


def assert_same_files(parity, bundle):
    """Both give every file of a bundle, or refuse it alike. Returns the names of those refused."""
    refused = []
    for name in bundle.manifest.files:
        try:
            path = Bundle.open(bundle.path).file(name)
        except FdcnError as error:
            with pytest.raises(FdcnError) as raised:
                parity("file", path=str(bundle.path), name=name)
            assert str(raised.value) == str(error)
            refused.append(name)
        else:
            assert parity("file", path=str(bundle.path), name=name) == str(path)
    return refused


def test_whole_files(parity, bundle):
    assert assert_same_files(parity, bundle) == []


def folder_of_that_size(path):
    path.unlink()
    path.mkdir()


DAMAGES = [
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(b"X" + path.read_bytes()[1:]),
    lambda path: path.unlink(),
    folder_of_that_size,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=["shorter", "changed", "missing", "a folder"])
def test_damaged_files(parity, bundle, damage):
    damaged = ["graphs-1/denoiser.onnx.data", "engine-1/denoiser.onnx", "calibration-1/int8.json"]
    for name in damaged:
        damage(bundle.path / name)
    assert sorted(assert_same_files(parity, bundle)) == sorted(damaged)


def test_a_folder_where_a_file_was(parity, bundle):
    """Just as large as the file is said to be: only reading it fails."""
    name = "graphs-1/denoiser.onnx"
    folder_of_that_size(bundle.path / name)
    files = bundle.manifest.files | {name: File((bundle.path / name).stat().st_size, "0" * 64)}
    written(bundle.path, dataclasses.replace(bundle.manifest, files=files).to_json())
    assert assert_same_files(parity, bundle) == [name]


@pytest.mark.parametrize("name", ["/etc/hostname-of-nobody", "../up", "a//b", "é\n", "0" * 300])
def test_files_of_odd_names(parity, bundle, name):
    graphs = bundle.manifest.graphs | {"decoder": Graph(name, [])}
    m = dataclasses.replace(bundle.manifest, graphs=graphs)
    m = dataclasses.replace(m, files={path: m.files.get(path, File(3, "1" * 64)) for path in m.paths()})
    written(bundle.path, m.to_json())
    assert assert_same_files(parity, Bundle.open(bundle.path)) == [name]
