"""The pipeline from Python: batches, seeds, defaults, sizes."""

import numpy as np
import pytest
from oracles import assert_close

from fdcn.errors import FdcnError
from fdcn.runtime import arena, memory, sample
from fdcn.runtime.backends.onnxrt import OnnxRuntime
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
    whole = pipe([1, 2, 3], **FAST)
    monkeypatch.setattr(sample, "TOKENS_AT_ONCE", 1)
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
    with pytest.raises(FdcnError, match="lower the guidance"):
        pipe([4], **(FAST | {"guidance": 1e38}))


def test_memory_is_checked_before_sampling(shipped_bundle, monkeypatch):
    pipe = Pipeline(shipped_bundle)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
    with pytest.raises(FdcnError, match=r"needs about .* 1\.0 MB are free"):
        pipe([4], size=(512, 512))


def test_memory_that_the_last_run_left_taken_serves_the_next(shipped_bundle, monkeypatch):
    pipe = Pipeline(shipped_bundle)
    pipe([4], size=(112, 112), steps=1, solver="euler")
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
    pipe([4], size=(112, 112), steps=1, solver="euler")
    with pytest.raises(FdcnError, match="needs about"):
        pipe([4], size=(512, 512))


def test_each_time_and_class_is_conditioned_once_and_kept_across_calls(shipped_bundle, monkeypatch):
    pipe, rows = Pipeline(shipped_bundle), []
    original = pipe.backend.condition
    monkeypatch.setattr(
        pipe.backend, "condition", lambda t, label: rows.append((list(t), list(label))) or original(t, label)
    )
    heun = {"solver": "heun-exact", "steps": 4, "size": (8, 8)}
    first = pipe([1, 2], **heun)
    (asked,) = rows
    assert len(asked[0]) == 4  # though Heun evaluates most times twice
    assert sorted(asked[1]) == [1, 2, 10]
    np.testing.assert_array_equal(pipe([1, 2], **heun).latents, first.latents)
    assert len(rows) == 1
    pipe([2, 3], **heun)
    assert rows[1][1] == [3]


@pytest.mark.parametrize("budget", [1, 30, 100])
def test_conditioning_in_small_chunks_changes_nothing(pipe, shipped_bundle, monkeypatch, budget):
    """Budgets of a part of a row, of some rows for many steps, and of a few steps."""
    request = {"solver": "heun-exact", "steps": 4, "seeds": [1, 2, 3], "size": (8, 8)}
    whole = pipe([1, 2, 2], **request)
    monkeypatch.setattr(arena, "BUDGET", budget * pipe.backend.conditioning_bytes // 10)
    apart = Pipeline(shipped_bundle, pipe.backend)
    for _ in range(2):
        assert_close(apart([1, 2, 2], **request).latents, whole.latents, BATCH_MATES, 0)


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, 2 * 10),
        ({"guidance": 1.0}, 10),
        ({"guidance_interval": (0.35, 0.75)}, 10 + 4),  # t = 0.4, 0.5, 0.6 and 0.7 of tenths
        ({"guidance_channels": "3"}, 2 * 10),
    ],
)
def test_the_null_half_is_evaluated_only_where_it_counts(pipe, monkeypatch, options, rows):
    evaluated, original = [], pipe.backend.denoise
    monkeypatch.setattr(
        pipe.backend,
        "denoise",
        lambda graph, latent, *rest: evaluated.append(len(latent)) or original(graph, latent, *rest),
    )
    pipe([4, 5], size=(8, 8), solver="euler", steps=10, **options)
    assert sum(evaluated) == 2 * rows


def test_noise_of_another_library(pipe):
    import torch

    noise = np.random.default_rng(0).standard_normal((1, 1, 8, 8)).astype(np.float32)
    want = pipe([4], noise=noise, **FAST)
    np.testing.assert_array_equal(pipe([4], noise=torch.from_numpy(noise), **FAST).latents, want.latents)
    for wrong in (torch.from_numpy(noise).bfloat16(), torch.from_numpy(noise).requires_grad_(), noise.tolist()):
        with pytest.raises(FdcnError, match="noise"):
            pipe([4], noise=wrong, **FAST)


class OnGpu:
    """Noise that says that it lies on a GPU."""

    def __init__(self, shape, dtype="torch.float32"):
        self.shape, self.dtype = shape, dtype

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **options):
        raise AssertionError("nobody may copy it")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_device": True}, "host's memory"),
        ({"stream": 0}, "host's memory"),
        ({"stream": "0"}, "stream's number"),
        ({"noise": OnGpu((1, 1, 8, 8))}, "host's memory"),
        ({"noise": OnGpu((1, 1, 8, 8), "torch.float16")}, "float16"),
        ({"noise": OnGpu((1, 4, 8, 8))}, r"\[images, 1"),
        ({"preview_every": -1}, "preview_every"),
    ],
)
def test_what_a_cpu_cannot_do(pipe, options, says):
    for call in (pipe, pipe.submit):
        with pytest.raises(FdcnError, match=says):
            call([4], steps=5, **options)


def test_what_progress_raises_ends_the_run_and_nothing_else(pipe):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    want = pipe([4], **FAST)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        pipe([4], progress=stop, **FAST)
    # The traceback, which is alive here, keeps the run's frames: its modulations must be free all the same.
    assert not [entry for entry in pipe._sampler._arena._cache._entries.values() if entry.pins]
    np.testing.assert_array_equal(pipe([4], **FAST).latents, want.latents)
    del interrupted


def test_warm_up(shipped_bundle, monkeypatch):
    from fdcn.runtime import pipeline

    evaluated = []
    original = OnnxRuntime.denoise
    monkeypatch.setattr(
        OnnxRuntime,
        "denoise",
        lambda self, graph, latent, *a: evaluated.append(latent.shape) or original(self, graph, latent, *a),
    )
    pipeline.load(shipped_bundle.path, "onnxruntime", warmup=[(28, 28, 3), (9, 4, 1)])
    assert evaluated == [(6, 1, 28, 28), (2, 1, 4, 10)]
    for wrong in ((0, 8, 1), (8, 8), (8, 8, 0)):
        with pytest.raises(FdcnError, match="width, height, images"):
            pipeline.load(shipped_bundle.path, "onnxruntime", warmup=[wrong])
