"""The rungs with networks that are a line of NumPy: how many rows there are, what they say, and who fails."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdcn.errors import FdcnError
from fdcn.plugins.reference import multi_scale_dcn
from fdcn.runtime import sample
from fdcn.verify.contenders import Contender
from fdcn.verify.ladder import compare, default_sizes
from fdcn.verify.report import Side


class Network:
    """A backend whose velocity is a small multiple of what it is given; `error` says what is added, step by step."""

    name = "NumPy"
    conditioning_bytes = 16

    def __init__(self, blocks, error=lambda step: 0.0, decoded=1.0):
        self.blocks, self.error, self.decoded, self.calls = blocks, error, decoded, 0

    def condition(self, t, label):
        rows = np.add.outer(t, label.astype(np.float32)).reshape(-1, 1)
        modulation = np.broadcast_to(1 + rows[:, :, None, None], (len(rows), self.blocks, 6, 1))
        return modulation.astype(np.float32), np.broadcast_to(rows[:, :, None], (len(rows), 2, 1)).astype(np.float32)

    def denoise(self, graph, latent, modulation, final, s_max):
        self.calls += 1
        velocity = (0.1 * latent + 0.01 * final[:, :1, :, None]).astype(np.float32)
        velocity[-1] += np.float32(self.error(self.calls - 1))
        return velocity

    def decode(self, latent):
        return np.tanh(latent[:, :1] * self.decoded)


def operator(layout, inputs, folder):
    return [multi_scale_dcn(*case.values(), layout.groups, layout.taps) for case in inputs]


def contender(network, precision="float32", operator=operator):
    return Contender(Side("stub", f"stub {id(network)}", precision, "NumPy"), network, operator)


def rungs(report):
    return {rung.name: rung for rung in report.rungs}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=3, unique=True),
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    count=st.integers(1, 2),
    steps=st.integers(2, 4),
    guidance=st.sampled_from([1.0, 3.0]),
    together=st.integers(1, 64),
)
def test_every_option_gives_its_rows(shipped_bundle, sizes, labels, count, steps, guidance, together):
    blocks, told = shipped_bundle.manifest.model.blocks, []
    request = {"labels": labels, "count": count, "steps": steps, "solver": "heun", "guidance": guidance, "seed": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "TOKENS_AT_ONCE", together)
        report = compare(
            shipped_bundle,
            contender(Network(blocks)),
            contender(Network(blocks)),
            request,
            sizes,
            lambda done, total: told.append(done / total),
        )
    assert report.passed
    found = rungs(report)
    assert list(found) == ["operator", "conditioner", "velocity", "picture"]
    images, texts = len(labels) * count, ["{}x{}".format(*size) for size in sizes]
    evaluations = len(found["velocity"].rows) // len(sizes)
    assert evaluations >= steps
    assert [row.at["size"] for row in found["velocity"].rows] == [text for text in texts for _ in range(evaluations)]
    assert [row.at["step"] for row in found["velocity"].rows] == [*range(evaluations)] * len(sizes)
    assert [row.at["size"] for row in found["picture"].rows] == [text for text in texts for _ in range(images)]
    assert [row.at["seed"] for row in found["picture"].rows] == [*range(7, 7 + images)] * len(sizes)
    assert [row.at["output"] for row in found["conditioner"].rows] == ["modulation", "final"]
    assert all(row.values["max_error"] == 0 for rung in report.rungs for row in rung.rows)
    assert report.settings["sizes"] == texts
    assert told == sorted(told)
    assert told[-1] == 1
    json.loads(report.to_json())


def against(bundle, precision="float32", sizes=((28, 28), (56, 28)), **changes):
    blocks = bundle.manifest.model.blocks
    other = contender(Network(blocks, **changes), precision)
    return compare(bundle, contender(Network(blocks)), other, {"labels": [1, 2, 3], "steps": 5}, sizes)


def test_one_row_of_one_step_is_enough_to_fail(shipped_bundle):
    report = against(shipped_bundle, error=lambda step: 0.05 * (step == 3))
    velocity = rungs(report)["velocity"].rows
    assert [i for i, row in enumerate(velocity) if not row.passed] == [3]
    assert velocity[3].values["max_error"] == pytest.approx(0.05, rel=1e-3)
    assert not report.passed
    assert "1 of 10 in the velocity" in report.verdict()


@pytest.mark.parametrize(("precision", "passed"), [("float32", False), ("float16", False), ("bfloat16", True)])
def test_the_coarser_precision_decides(shipped_bundle, precision, passed):
    # 1 − cosine is about error² / (2 · 0.1²) where the velocity is a tenth of a normal latent.
    report = against(shipped_bundle, precision, error=lambda step: 2e-3)
    assert rungs(report)["velocity"].passed is passed


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_candidate_that_is_not_finite_fails(shipped_bundle, poison):
    report = against(shipped_bundle, "bfloat16", error=lambda step: poison if step % 5 == 2 else 0.0)
    found = rungs(report)
    assert [row.passed for row in found["velocity"].rows] == [step % 5 != 2 for step in range(10)]
    assert not any(row.passed for row in found["picture"].rows)
    assert "left float32's range" in found["picture"].rows[0].note
    bad = json.loads(report.to_json())["rungs"][2]["rows"][2]
    assert (bad["values"]["cosine"], bad["passed"]) == (None, False)


def test_a_wrong_decoder_shows_in_the_picture_alone(shipped_bundle):
    report = against(shipped_bundle, decoded=-1.0)
    assert [rung.name for rung in report.rungs if not rung.passed] == ["picture"]


def test_a_wrong_operator_shows(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks

    def narrow(layout, inputs, folder):
        cut = [{**case, "s_max": case["s_max"] * np.float32(0.999)} for case in inputs]
        return operator(layout, cut, folder)

    other = contender(Network(blocks), operator=narrow)
    report = compare(shipped_bundle, contender(Network(blocks)), other, {"labels": [0], "steps": 5}, [(28, 28)])
    assert [rung.name for rung in report.rungs if not rung.passed] == ["operator"]


def test_what_cannot_run_is_said_and_not_failed(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks

    def missing(layout, inputs, folder):
        raise FdcnError("there is no builder here")

    other = contender(Network(blocks), operator=missing)
    report = compare(shipped_bundle, contender(Network(blocks)), other, {"labels": [0], "steps": 5}, [(28, 28)])
    assert report.passed
    assert (report.rungs[0].skipped, report.rungs[0].rows) == ("there is no builder here", [])


def test_other_shapes_are_an_error(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks
    with pytest.raises(FdcnError, match=r"its conditioner's modulation gives \[\d+, 4.*build it again"):
        request = {"labels": [0], "steps": 5}
        compare(shipped_bundle, contender(Network(blocks)), contender(Network(4)), request, [(28, 28)])


def test_default_sizes(shipped_bundle):
    assert default_sizes(shipped_bundle) == [(28, 28), (56, 28)]
    fixed = dataclasses.replace(shipped_bundle.manifest, fixed_size=[40, 20])
    assert default_sizes(type(shipped_bundle)(shipped_bundle.path, fixed)) == [(40, 20)]
