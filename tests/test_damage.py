"""Files of a bundle cut short or changed at seeded places: an error that says what to do, and never a crash."""

import dataclasses
import random

import pytest

from fdcn.bundle import MANIFEST, Bundle, Engine, Extent, Graph, Plugin, Profile, Target, drafting, engine_key
from fdcn.errors import FdcnError
from fdcn.inspection import file_states, print_bundle
from fdcn.runtime.backends import open_backend

PLACES = 200
ENGINE = random.Random(1).randbytes(5000)


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory):
    """A bundle with an engine, whose content nothing here reads."""
    import shutil

    path = tmp_path_factory.mktemp("damage") / "model"
    shutil.copytree(tiny_bundle.path, path)
    sizes = [Profile(*[Extent(64, 64, batch) for batch in (1, 2, 8)])]
    with drafting(path, "engine") as draft:
        (draft.path / "denoiser.engine").write_bytes(ENGINE)
        plugin = Plugin("python", 1, "0" * 64, None)
        hashes = {"denoiser": "1" * 64}
        target = Target(
            "tensorrt", "10.6", ["sm_86"], "12", None, "float16", sizes, plugin, hashes, None, False, "2" * 64
        )
        graphs = {"denoiser": Graph(draft.inside("denoiser.engine"), [])}
        engine = Engine("tensorrt", engine_key(target), graphs, target)
        return draft.commit(dataclasses.replace(tiny_bundle.manifest, engines=[engine]))


def damaged(content: bytes, seed: int) -> bytes:
    """Cut off at a place, or with one bit there changed."""
    choose = random.Random(seed)
    place = choose.randrange(len(content))
    if choose.random() < 0.5:
        return content[:place]
    return content[:place] + bytes([content[place] ^ (1 << choose.randrange(8))]) + content[place + 1 :]


def test_engines(bundle):
    (engine,) = bundle.manifest.engines
    path = bundle.path / engine.graphs["denoiser"].file
    try:
        for seed in range(PLACES):
            path.write_bytes(damaged(ENGINE, seed))
            with pytest.raises(FdcnError, match=r"denoiser\.engine (has|was).*manifest says.*fdcn build"):
                Bundle.open(bundle.path).graph(engine.graphs["denoiser"])
    finally:
        path.write_bytes(ENGINE)
    assert Bundle.open(bundle.path).graph(engine.graphs["denoiser"]) == path


def test_manifests(bundle, monkeypatch, capsys):
    """What a changed letter makes of a text cannot be known: then whatever reads the manifest must go on or refuse."""
    monkeypatch.setattr("fdcn.gpu.first", lambda: None)
    path = bundle.path / MANIFEST
    whole = path.read_bytes()
    refused = 0
    try:
        for seed in range(PLACES):
            path.write_bytes(damaged(whole, seed))
            try:
                opened = Bundle.open(bundle.path)
                for engine in opened.manifest.engines:
                    assert engine.target is None or engine.target.options()
                print_bundle(opened, file_states(opened))
                open_backend(opened, "auto")
            except FdcnError as error:
                refused += 1
                assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)
        capsys.readouterr()
    assert refused > PLACES / 2
