"""Many pictures before a classifier: interrupted, resumed, asked again for more; and what was kept damaged."""

from pathlib import Path

import numpy as np
import pytest

from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline
from fdcn.verify import verdicts
from fdcn.verify.judge import Classifier
from fdcn.verify.verdicts import collect, kept_at

COMMITTED = Path(__file__).resolve().parents[2] / "benchmarks" / "classifier.onnx"
SAMPLING = {"size": [28, 28], "solver": "euler", "steps": 2, "guidance": 1.0, "seed": 7}


class Network:
    """Costs nothing; the picture is the noise, squashed."""

    name, conditioning_bytes = "NumPy", 16

    def condition(self, t, label):
        rows = len(t) * len(label)
        return np.zeros((rows, 11, 6, 1), np.float32), np.zeros((rows, 2, 1), np.float32)

    def denoise(self, graph, latent, modulation, final, s_max):
        return 0.5 * latent

    def decode(self, latent):
        return np.tanh(latent)


@pytest.fixture(autouse=True)
def few_a_call(monkeypatch):
    monkeypatch.setattr(verdicts, "PICTURES_A_CALL", 8)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(COMMITTED)


def pipe(bundle):
    return Pipeline(bundle, Network())


def interrupting(after):
    def progress(done, total):
        if done >= after:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_run_goes_on_to_the_same(shipped_bundle, classifier, tmp_path):
    whole = collect(pipe(shipped_bundle), SAMPLING, classifier, 30, tmp_path / "whole.npz")
    kept, told = tmp_path / "deeper" / "kept.npz", []
    with pytest.raises(KeyboardInterrupt):
        collect(pipe(shipped_bundle), SAMPLING, classifier, 30, kept, interrupting(20))
    with np.load(kept) as file:
        assert len(file["logits"]) == 16
    resumed = collect(pipe(shipped_bundle), SAMPLING, classifier, 30, kept, lambda *at: told.append(at))
    assert told[0][0] > 16
    assert told[-1] == (30, 30)
    for name in ("logits", "features"):
        assert np.array_equal(getattr(whole, name), getattr(resumed, name))
    assert whole.labels.tolist() == [i % 10 for i in range(30)]
    assert whole.seconds > 0


def test_more_pictures_ask_the_rest_alone_and_fewer_none(shipped_bundle, classifier, tmp_path):
    kept = tmp_path / "kept.npz"
    first = collect(pipe(shipped_bundle), SAMPLING, classifier, 12, kept)
    told = []
    more = collect(pipe(shipped_bundle), SAMPLING, classifier, 20, kept, lambda *at: told.append(at))
    assert told[0][0] > 12
    assert np.array_equal(more.logits[:12], first.logits)
    again = collect(pipe(shipped_bundle), SAMPLING, classifier, 12, kept, interrupting(0))
    assert np.array_equal(again.features, first.features)
    assert again.seconds == pytest.approx(more.seconds * 12 / 20)


def test_pictures_are_those_of_their_labels_and_seeds(shipped_bundle, classifier, tmp_path):
    found = collect(pipe(shipped_bundle), SAMPLING, classifier, 10, tmp_path / "kept.npz")
    options = {name: value for name, value in SAMPLING.items() if name != "seed"}
    images = pipe(shipped_bundle)(labels=[9], seeds=[16], **options)
    logits, _ = classifier(images.pixels.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    assert np.allclose(found.logits[9], logits[0], atol=1e-5)


def test_what_is_kept_is_of_one_thing(shipped_bundle, classifier, tmp_path):
    one = pipe(shipped_bundle)
    places = {
        kept_at(tmp_path, one, contender, {**SAMPLING, **changed}, classifier)
        for contender in ("a", "b")
        for changed in ({}, {"seed": 8}, {"size": [56, 28]}, {"solver": None}, {"guidance": 2.0})
    }
    assert len(places) == 10
    assert kept_at(tmp_path, one, "a", SAMPLING, classifier) in places
    assert {place.parent for place in places} == {tmp_path}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"text"])
def test_a_damaged_file_is_said(shipped_bundle, classifier, tmp_path, content):
    (tmp_path / "kept.npz").write_bytes(content)
    with pytest.raises(FdcnError, match=r"kept.npz is damaged .*; delete it"):
        collect(pipe(shipped_bundle), SAMPLING, classifier, 10, tmp_path / "kept.npz")
