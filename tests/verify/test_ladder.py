"""The rungs with networks that are a line of NumPy: how many rows there are, what they say, and who fails."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdcn.bundle import StepGroup
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


def not_alone(layout, inputs, folder):
    raise FdcnError("there is no builder here")


def contender(network, precision="float32", operator=operator):
    side = Side("stub", f"stub {id(network)}", precision, "NumPy")
    return Contender(side, network, operator, "float32" if precision == "int8" else precision, ())


def rungs(report):
    (compared,) = report.candidates
    return {rung.name: rung for rung in compared.rungs}


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
            [contender(Network(blocks))],
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
    assert all(row.values["max_error"] == 0 for rung in found.values() for row in rung.rows)
    assert report.settings["sizes"] == texts
    assert told == sorted(told)
    assert told[-1] == 1
    json.loads(report.to_json())


def against(bundle, precision="float32", sizes=((28, 28), (56, 28)), **changes):
    blocks = bundle.manifest.model.blocks
    other = contender(Network(blocks, **changes), precision)
    return compare(bundle, contender(Network(blocks)), [other], {"labels": [1, 2, 3], "steps": 5}, sizes)


def test_one_row_of_one_step_is_enough_to_fail(shipped_bundle):
    report = against(shipped_bundle, error=lambda step: 0.05 * (step == 3))
    velocity = rungs(report)["velocity"].rows
    assert [i for i, row in enumerate(velocity) if not row.passed] == [3]
    assert velocity[3].values["max_error"] == pytest.approx(0.05, rel=1e-3)
    assert not report.passed
    assert "1 of 10 in the velocity" in report.verdict()


@pytest.mark.parametrize(
    ("precision", "passed"), [("float32", False), ("float16", False), ("bfloat16", True), ("int8", True)]
)
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
    bad = json.loads(report.to_json())["candidates"][0]["rungs"][2]["rows"][2]
    assert (bad["values"]["cosine"], bad["passed"]) == (None, False)


def test_a_wrong_decoder_shows_in_the_picture_alone(shipped_bundle):
    report = against(shipped_bundle, decoded=-1.0)
    assert [name for name, rung in rungs(report).items() if not rung.passed] == ["picture"]


def test_a_wrong_operator_shows(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks

    def narrow(layout, inputs, folder):
        cut = [{**case, "s_max": case["s_max"] * np.float32(0.999)} for case in inputs]
        return operator(layout, cut, folder)

    other = contender(Network(blocks), operator=narrow)
    report = compare(shipped_bundle, contender(Network(blocks)), [other], {"labels": [0], "steps": 5}, [(28, 28)])
    assert [name for name, rung in rungs(report).items() if not rung.passed] == ["operator"]


def test_what_cannot_run_is_said_and_not_failed(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks
    other = contender(Network(blocks), operator=not_alone)
    report = compare(shipped_bundle, contender(Network(blocks)), [other], {"labels": [0], "steps": 5}, [(28, 28)])
    assert report.passed
    operator = rungs(report)["operator"]
    assert (operator.skipped, operator.rows) == ("there is no builder here", [])


def test_candidates_are_compared_each_with_its_own_limits(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks
    reference = Network(blocks)
    off = {"bfloat16": 2e-3, "float16": 2e-3, "int8": 5e-3}
    others = [contender(Network(blocks, error=lambda step, e=e: e), precision) for precision, e in off.items()]
    report = compare(shipped_bundle, contender(reference), others, {"labels": [1, 2], "steps": 5}, [(28, 28)])
    assert [compared.side.precision for compared in report.candidates] == list(off)
    assert [compared.passed for compared in report.candidates] == [True, False, True]
    assert not report.passed
    for compared, error in zip(report.candidates, off.values(), strict=True):
        rung = compared.rung("velocity")
        assert [row.values["max_error"] for row in rung.rows] == pytest.approx([error] * len(rung.rows), rel=1e-2)
    # Of the quantised one, all that is not quantised is as exact as before.
    assert report.candidates[2].rung("operator").limits["relative"] == 1e-5
    assert report.candidates[2].rung("conditioner").limits["cosine"] > 0.99999
    # The reference samples once, whoever listens.
    assert reference.calls == len(report.candidates[0].rung("velocity").rows)


def test_albums_have_the_pictures_of_all(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks
    names = {"good": 0.0, "off": 1e-2, "broken": math.nan}
    others = []
    for name, error in names.items():
        other = contender(Network(blocks, error=lambda step, e=error: e), "int8", not_alone)
        others.append(dataclasses.replace(other, side=dataclasses.replace(other.side, name=name)))
    request = {"labels": [1, 2], "seed": 5, "steps": 5}
    report = compare(shipped_bundle, contender(Network(blocks)), others, request, [(28, 28), (40, 20)])
    assert [album.size for album in report.albums] == ["28x28", "40x20"]
    album = report.albums[1]
    assert album.seeds == [5, 6]
    assert list(album.pictures) == ["stub", "good", "off"]
    assert {pixels.shape for pixels in album.pictures.values()} == {(2, 20, 40, 1)}
    assert np.array_equal(album.pictures["stub"], album.pictures["good"])
    assert not np.array_equal(album.pictures["stub"], album.pictures["off"])


class Grouped(Network):
    """Has a graph for each group of steps, and says which was asked."""

    def __init__(self, blocks, ends):
        super().__init__(blocks)
        self.asked = []
        self.step_groups = [StepGroup(end, f"denoiser-{i}" if i else "denoiser") for i, end in enumerate(ends)]

    def denoise(self, graph, *inputs):
        self.asked.append(graph)
        return super().denoise(graph, *inputs)


@pytest.mark.parametrize("ends", [(0.5, 1.0), (0.2, 0.6, 1.0)])
@pytest.mark.parametrize("others", [(), (0.3, 1.0)])
def test_each_is_asked_the_graph_of_its_own_step_groups(shipped_bundle, ends, others):
    blocks = shipped_bundle.manifest.model.blocks
    sides = [Grouped(blocks, ends), Grouped(blocks, others), Network(blocks)]
    request = {"labels": [1], "steps": 9, "solver": "heun"}
    reference, *candidates = (contender(side, operator=not_alone) for side in sides)
    report = compare(shipped_bundle, reference, candidates, request, [(28, 28)])
    assert report.passed
    times = [row.at["t"] for row in report.candidates[0].rung("velocity").rows]
    for side in sides[:2]:
        wanted = [next((g.graph for g in side.step_groups if t <= g.until + 1e-6), "denoiser") for t in times]
        assert side.asked[: len(times)] == wanted


def test_other_shapes_are_an_error(shipped_bundle):
    blocks = shipped_bundle.manifest.model.blocks
    with pytest.raises(FdcnError, match=r"its conditioner's modulation gives \[\d+, 4.*build it again"):
        request = {"labels": [0], "steps": 5}
        compare(shipped_bundle, contender(Network(blocks)), [contender(Network(4))], request, [(28, 28)])


def test_default_sizes(shipped_bundle):
    assert default_sizes(shipped_bundle) == [(28, 28), (56, 28)]
    fixed = dataclasses.replace(shipped_bundle.manifest, fixed_size=[40, 20])
    assert default_sizes(type(shipped_bundle)(shipped_bundle.path, fixed)) == [(40, 20)]
