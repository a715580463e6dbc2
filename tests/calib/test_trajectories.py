"""Which trajectories are measured: every class, every size, every seed once, whatever is sampled together."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdcn.calib import trajectories
from fdcn.calib.trajectories import label_of, parts, resolve, size_of
from fdcn.errors import FdcnError


@given(st.integers(1, 40), st.integers(1, 40))
def test_classes_come_in_turn(samples, classes):
    labels = [label_of(i, samples, classes) for i in range(samples)]
    assert set(labels) <= set(range(classes))
    counts = [labels.count(label) for label in range(classes)]
    assert max(counts) - min(counts) <= 1
    assert len(set(labels)) == min(samples, classes)
    if samples < classes:  # not the first ones alone
        assert max(b - a for a, b in itertools.pairwise([*labels, classes])) <= math.ceil(classes / samples)


@given(st.integers(1, 12), st.integers(1, 6))
def test_every_class_comes_in_every_size(classes, sizes):
    pictures = range(classes * sizes)
    pairs = {(label_of(i, len(pictures), classes), size_of(i, classes, sizes)) for i in pictures}
    assert len(pairs) == len(pictures)
    counts = [[size_of(i, classes, sizes) for i in pictures].count(size) for size in range(sizes)]
    assert set(counts) == {classes}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.integers(4, 30),
    sizes=st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), max_size=4, unique=True),
    seed=st.integers(0, 2**64 - 1),
    guidance=st.sampled_from([1.0, 2.0]),
    at_once=st.integers(1, 3000),
)
def test_parts_hold_every_picture_once(shipped_bundle, samples, sizes, seed, guidance, at_once):
    manifest = shipped_bundle.manifest
    asked = resolve(manifest, samples, sizes, "euler", 5, guidance, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "TOKENS_AT_ONCE", at_once)
        found = parts(manifest, asked)
    assert sorted(i for part in found for i in part.pictures) == list(range(samples))
    for part in found:
        wanted = part.request
        assert wanted.seeds == tuple((seed + i) % 2**64 for i in part.pictures)
        assert wanted.labels == tuple(label_of(i, samples, 10) for i in part.pictures)
        assert (wanted.solver, wanted.steps, wanted.guidance.scale) == ("euler", 5, guidance)
        tokens = math.prod(wanted.latent) // 4 * (1 if guidance == 1 else 2)
        assert len(part.pictures) == 1 or len(part.pictures) * tokens <= at_once
    assert {part.request.size for part in found} == set(asked.sizes)


def test_defaults_are_the_bundles(shipped_bundle):
    found = resolve(shipped_bundle.manifest)
    assert found.sizes == ((28, 28), (56, 28), (28, 56))
    assert (found.samples, found.solver, found.steps, found.guidance, found.seed) == (64, "neural", 10, 4.0, 0)
    assert found.texts()["sizes"] == "28x28 56x28 28x56"
    fixed = dataclasses.replace(shipped_bundle.manifest, fixed_size=[28, 56])
    assert resolve(fixed).sizes == ((28, 56),)


def test_impossible_settings_are_errors(shipped_bundle):
    manifest = shipped_bundle.manifest
    with pytest.raises(FdcnError, match="--samples 2 cannot cover 3 sizes; take 3 or more"):
        resolve(manifest, 2)
    with pytest.raises(FdcnError, match="needs --steps"):
        resolve(manifest, solver="euler")
    with pytest.raises(FdcnError, match="guidance must be a finite number"):
        resolve(manifest, guidance=math.nan)
    with pytest.raises(FdcnError, match="exported for 28x28 alone"):
        resolve(dataclasses.replace(manifest, fixed_size=[28, 28]), sizes=[(56, 28)])
