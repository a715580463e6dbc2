"""The pipeline from Python: batches, seeds, defaults, sizes."""

import numpy as np
import pytest
from oracles import assert_close

from fdcn.errors import FdcnError
from fdcn.runtime import memory
from fdcn.runtime.pipeline import Pipeline

FAST = {"solver": "heun-sde", "steps": 3, "guidance": 2.0}
"""A solver that draws all its noise."""
BATCH_MATES = 1e-5
"""ONNX Runtime's GEMMs may take other kernels for other row counts."""


@pytest.fixture(scope="module")
def pipe(shipped_bundle):
    return Pipeline(shipped_bundle)


def test_defaults_show_every_class_once(pipe):
    images = pipe(steps=5)
    assert images.pixels.shape == (10, 28, 28, 1)
    assert images.pixels.dtype == np.uint8
    assert images.latents.shape == (10, 1, 28, 28)
    assert images.names[7] == "Sneaker"
    assert images.request.seeds == tuple(range(10))
    assert images.request.solver == "neural"


def test_the_same_seed_gives_the_same_picture(pipe):
    first, again = (pipe(["Bag", "Coat"], seeds=[5, 6], **FAST) for _ in range(2))
    np.testing.assert_array_equal(first.latents, again.latents)
    other = pipe(["Bag", "Coat"], seeds=[5, 7], **FAST)
    assert np.abs(other.latents[1] - first.latents[1]).max() > 0.1


def test_an_image_does_not_depend_on_its_batch_mates(pipe):
    together = pipe(range(10), seeds=range(10), **FAST)
    for i in (0, 3, 9):
        alone = pipe([i], seeds=[i], **FAST)
        assert_close(together.latents[i : i + 1], alone.latents, BATCH_MATES, 0)


def test_many_pictures_are_sampled_in_batches(pipe, monkeypatch):
    from fdcn.runtime import pipeline

    whole = pipe([1, 2, 3], **FAST)
    monkeypatch.setattr(pipeline, "TOKENS_AT_ONCE", 1)
    steps = []
    apart = pipe([1, 2, 3], progress=lambda done, total: steps.append((done, total)), **FAST)
    assert steps == [(i, 9) for i in range(1, 10)]
    assert_close(apart.latents, whole.latents, BATCH_MATES, 0)


def test_labels_count_and_seeds(pipe):
    images = pipe(["sneaker", "8", 3], count=2, seed=2**64 - 2, size=(8, 8), **FAST)
    assert images.request.labels == (7, 7, 8, 8, 3, 3)
    assert images.request.seeds == (2**64 - 2, 2**64 - 1, 0, 1, 2, 3)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (28, 56), (33, 2)])
def test_any_size(pipe, size):
    images = pipe(["Bag"], size=size, **FAST)
    assert images.pixels.shape == (1, size[1], size[0], 1)
    assert images.latents.shape[2:] == (-(-size[1] // 2) * 2, -(-size[0] // 2) * 2)


def test_noise_sets_size_and_count_and_sde_draws_use_the_seeds(pipe):
    noise = np.random.default_rng(0).standard_normal((2, 1, 12, 20)).astype(np.float32)
    a = pipe([4], noise=noise, seeds=[1, 2], **FAST)
    b = pipe([4], noise=noise, seeds=[1, 3], **FAST)
    assert a.pixels.shape == (2, 12, 20, 1)
    np.testing.assert_array_equal(a.latents[0], b.latents[0])
    assert np.abs(a.latents[1] - b.latents[1]).max() > 0.1
    assert pipe([4], noise=noise, size=(19, 11), **FAST).pixels.shape == (2, 11, 19, 1)


def test_previews(pipe):
    images = pipe([4], preview_every=2, solver="euler", steps=6)
    assert len(images.previews) == 2
    assert all(frame.shape == images.pixels.shape for frame in images.previews)
    # The prediction of a late evaluation is close to the picture, that of an early one is not.
    errors = [np.abs(frame.astype(int) - images.pixels).mean() for frame in images.previews]
    assert errors[1] < errors[0]


def test_no_guidance_is_the_class_alone(pipe):
    one = pipe([4], **(FAST | {"guidance": 1.0}))
    never = pipe([4], guidance_interval=(1.0, 1.0), **(FAST | {"guidance": 7.0}))
    assert_close(one.latents, never.latents, BATCH_MATES, 0)


def test_overflow_is_said(pipe):
    with pytest.raises(FdcnError, match="lower it"):
        pipe([4], **(FAST | {"guidance": 1e38}))


def test_memory_is_checked_before_sampling(pipe, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
    with pytest.raises(FdcnError, match=r"needs about .* 1\.0 MB are free"):
        pipe([4], size=(512, 512))


def test_conditioning_in_small_chunks_changes_nothing(pipe, monkeypatch):
    from fdcn.runtime import conditioning

    whole = pipe([1, 2], solver="heun-exact", steps=4)
    calls = []
    original = pipe.backend.condition
    monkeypatch.setattr(pipe.backend, "condition", lambda t, label: calls.append(len(t)) or original(t, label))
    pipe([1, 2], solver="heun-exact", steps=4)
    assert calls == [4]  # each time once, though Heun evaluates most of them twice
    monkeypatch.setattr(conditioning, "BUDGET", 1)
    apart = pipe([1, 2], solver="heun-exact", steps=4)
    assert calls == [4, 1, 1, 1, 1]
    assert_close(apart.latents, whole.latents, BATCH_MATES, 0)
