"""The sampler on a GPU against the one on the host, over a simulated GPU whose engines run in ONNX Runtime."""

import dataclasses
import gc
import logging
import pickle
import threading

import numpy as np
import pytest
import simulated_engine
from oracles import assert_close

from fdcn.errors import FdcnError, OutOfMemory
from fdcn.export.profiles import parse_profile
from fdcn.runtime.backends import device_arena, device_arrays, device_sampler
from fdcn.runtime.backends.base import Batch
from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.backends.trt import open_engine
from fdcn.runtime.plan import Guidance, sampler_plan
from fdcn.runtime.sample import HostSampler
from fdcn.runtime.solvers import SOLVERS

SAME = 1e-5
"""ONNX Runtime's GEMMs may take other kernels for other row counts."""
PROFILES = ["16x16:64x64:96x96x8"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, tiny_bundle):
    """11 blocks, 4 latent channels, 10 classes, no decoder."""
    folder = tmp_path_factory.mktemp("device") / "tiny"
    return simulated_engine.equipped(tiny_bundle, folder, [parse_profile(text) for text in PROFILES])


@pytest.fixture(scope="module")
def host(bundle):
    return HostSampler(OnnxRuntime(bundle), bundle.manifest)


@pytest.fixture
def cuda(monkeypatch):
    return simulated_engine.simulated(monkeypatch)


@pytest.fixture
def sampler(cuda, bundle):
    backend = open_engine(bundle, simulated_engine.GPU)
    yield backend.sampler()
    backend.close()
    assert not cuda.left()


def batch(bundle, solver="euler", steps=3, *, images=2, size=(64, 48), guidance=None, **changes):
    m = bundle.manifest
    latent = m.model.channels, *(-(-side // 16) * 2 for side in reversed(size))
    plan = sampler_plan(solver, steps, blocks=m.model.blocks, guidance=guidance or Guidance(2.0), stretch=(2.0, 1.5))
    labels, seeds = tuple(range(images)), tuple(range(7, 7 + images))
    return dataclasses.replace(Batch(plan, labels, seeds, m.model.classes, latent, size), **changes)


def sampled(sampler, wanted, prepared=None):
    """What a sampler makes of a batch, and what it said of its progress; waits for what goes on behind it."""
    told = []
    result = sampler.sample(wanted, told.append)
    if hasattr(sampler, "_behind"):
        sampler._behind.submit(lambda: None).result()
    return result, told


def same(got, want):
    assert_close(got.latents, want.latents, SAME, SAME)
    assert np.abs(got.pixels.astype(int) - want.pixels).max() <= 1
    assert got.pixels.dtype == np.uint8


STEPS = {"neural": 5, "adams4": 6}
GUIDANCES = {
    "all": Guidance(3.0),
    "three channels": Guidance(3.0, "3"),
    "none": Guidance(1.0),
    "interval": Guidance(3.0, "all", (0.3, 0.7)),
    "three channels, interval": Guidance(3.0, "3", (0.0, 0.5)),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_row_by_row_and_as_one_graph(cuda, sampler, host, bundle, solver):
    wanted = batch(bundle, solver, STEPS.get(solver, 3))
    want, _ = sampled(host, wanted)
    for times in range(2):
        cuda.log.clear()
        got, told = sampled(sampler, wanted)
        same(got, want)
        assert told == ([len(wanted.plan.rows)] if times else list(range(1, len(wanted.plan.rows) + 1)))
    assert cuda.log == ["launch"]


@pytest.mark.parametrize("guidance", GUIDANCES.values(), ids=GUIDANCES)
@pytest.mark.parametrize(("images", "size"), [(1, (16, 16)), (3, (61, 50)), (4, (96, 32))])
def test_guidance_and_sizes(sampler, host, bundle, guidance, images, size):
    wanted = batch(bundle, "heun-sde", 3, images=images, size=size, guidance=guidance)
    want, _ = sampled(host, wanted)
    for _ in range(2):
        same(sampled(sampler, wanted)[0], want)


def test_what_is_data_records_nothing_anew(cuda, sampler, host, bundle):
    first = batch(bundle, "adams2", 4)
    for _ in range(2):
        sampled(sampler, first)
    guided = batch(bundle, "adams2", 4, guidance=Guidance(1.5)).plan
    for change in ({"seeds": (2**64 - 1, 0)}, {"labels": (9, 9)}, {"plan": guided}):
        cuda.log.clear()
        wanted = dataclasses.replace(first, **change)
        same(sampled(sampler, wanted)[0], sampled(host, wanted)[0])
        assert [word for word in cuda.log if word != "run modulation"] == ["launch"]
    assert "run modulation" not in cuda.log  # conditioned on the same times and classes as before


def test_conditioning_is_computed_once(cuda, sampler, bundle):
    for images in (1, 2, 3):
        sampled(sampler, batch(bundle, "heun-exact", 4, images=images))
        assert cuda.log.count("run modulation") == images  # for the new class; the null class came with the first
    cuda.log.clear()
    sampled(sampler, batch(bundle, "heun-exact", 4, images=4, guidance=Guidance(1.0), labels=(0, 1, 2, 0)))
    assert "run modulation" not in cuda.log


def test_given_noise(cuda, sampler, host, bundle):
    rng = np.random.default_rng(0)
    for _ in range(3):
        noise = rng.standard_normal((2, 4, 6, 8)).astype(np.float32)
        wanted = batch(bundle, "euler-sde", 3, noise=noise)
        same(sampled(sampler, wanted)[0], sampled(host, wanted)[0])
    assert cuda.log.count("launch") == 2


def on_host(cuda, array):
    """What is at a device array's address, read as one that takes it would."""
    capsule = array.__dlpack__()
    tensor = device_arrays._Managed.from_address(device_arrays._pointer(id(capsule), b"dltensor")).tensor
    return cuda.array(tensor.data, array.shape, array.dtype).copy()


def test_results_and_noise_on_the_device(cuda, sampler, host, bundle):
    wanted = batch(bundle, "euler-sde", 3, on_device=True)
    want, _ = sampled(host, wanted)
    kept = [sampled(sampler, wanted)[0] for _ in range(2)]
    other, _ = sampled(sampler, dataclasses.replace(wanted, seeds=(0, 1)))
    for got in kept:  # nothing that came later has touched them
        assert_close(on_host(cuda, got.latents), want.latents, SAME, SAME)
        assert np.abs(on_host(cuda, got.pixels).astype(int) - want.pixels).max() <= 1
    assert other.pixels.shape == want.pixels.shape
    again = dataclasses.replace(wanted, noise=kept[0].latents, on_device=False)
    want, _ = sampled(host, dataclasses.replace(again, noise=want.latents))
    for _ in range(2):
        same(sampled(sampler, again)[0], want)
    with pytest.raises(FdcnError, match=r"the noise is uint8 \[2, 48, 64, 3\]; wanted float32 \[2, 4, 6, 8\] on GPU 0"):
        sampler.sample(dataclasses.replace(again, noise=kept[0].pixels), lambda r: None)
    same(sampled(sampler, again)[0], want)


def test_a_callers_stream_is_waited_for(cuda, sampler, host, bundle):
    noise = np.random.default_rng(0).standard_normal((2, 4, 6, 8)).astype(np.float32)
    wanted = batch(bundle, noise=noise)
    given = sampled(sampler, dataclasses.replace(wanted, on_device=True))[0].latents
    address = given._memory.address
    theirs = cuda.cudaStreamCreateWithFlags(1)[1]
    for scale in (1, 2):
        values = noise * np.float32(scale)
        cuda.give(theirs, lambda values=values: cuda.array(address, values.shape, np.float32).__setitem__(..., values))
        got, _ = sampled(sampler, dataclasses.replace(wanted, noise=given, stream=theirs))
        same(got, sampled(host, dataclasses.replace(wanted, noise=values))[0])
    cuda.cudaStreamDestroy(theirs)
    del given


def test_previews(cuda, sampler, host, bundle):
    wanted = batch(bundle, "euler", 5, preview_every=2)

    def shown(by):
        """What a sampler shows, and says, in order; and what it makes."""
        told = []
        result = by.sample(wanted, lambda r: told.append((r, None)), lambda r, pixels: told.append((r, pixels)))
        return told, result

    want, made = shown(host)
    assert [(r, pixels is not None) for r, pixels in want] == [
        *[(1, False), (2, True), (2, False), (3, False)],
        *[(4, True), (4, False), (5, False)],
    ]
    for _ in range(2):
        got, result = shown(sampler)
        same(result, made)
        assert [r for r, _ in got] == [r for r, _ in want]
        for (_, a), (_, b) in zip(got, want, strict=True):
            assert (a is None) == (b is None)
            assert a is None or np.abs(a.astype(int) - b).max() <= 1
    assert "launch" not in cuda.log
    sampled(sampler, dataclasses.replace(wanted, preview_every=0))
    assert cuda.log.count("launch") == 1


def test_modulations_beyond_the_budget_are_made_in_parts(cuda, bundle, host, monkeypatch, caplog):
    monkeypatch.setattr(device_arena, "BUDGET", 1)
    monkeypatch.setattr(device_arena, "MADE_AT_ONCE", 1)
    monkeypatch.setattr(device_arena, "RING", 2)
    backend = open_engine(bundle, simulated_engine.GPU)
    sampler, wanted = backend.sampler(), batch(bundle, "euler", 6)  # 3 classes at 6 times; 8 are kept
    want, _ = sampled(host, wanted)
    with caplog.at_level(logging.WARNING, "fdcn"):
        for _ in range(2):
            same(sampled(sampler, wanted)[0], want)
            (said,) = caplog.messages
            assert "needs 18 modulations and 8 are kept" in said
            caplog.clear()
    assert "launch" not in cuda.log
    backend.close()


def test_where_recording_is_refused_it_goes_on_row_by_row(cuda, sampler, host, bundle, caplog):
    cuda.refuse_capture = True
    wanted = batch(bundle)
    want, _ = sampled(host, wanted)
    with caplog.at_level(logging.WARNING, "fdcn"):
        for _ in range(3):
            same(sampled(sampler, wanted)[0], want)
    (said,) = caplog.messages
    assert "2 images of 64x48 are sampled step by step, since a CUDA graph was refused" in said
    assert "launch" not in cuda.log


def test_warming_up_makes_the_first_batch_one_launch(cuda, sampler, host, bundle):
    wanted = batch(bundle, seeds=(3, 4))
    sampler.warm_up(dataclasses.replace(wanted, seeds=(0, 0), noise=np.full((2, 4, 6, 8), np.nan, np.float32)))
    cuda.log.clear()
    got, told = sampled(sampler, wanted)
    same(got, sampled(host, wanted)[0])
    assert told == [len(wanted.plan.rows)]
    assert cuda.log == ["launch"]


def test_prepared_shapes_leave_when_they_are_too_much(cuda, bundle, monkeypatch):
    monkeypatch.setattr(device_sampler, "SHARE", cuda.memory)  # none stays that is not in use
    backend = open_engine(bundle, simulated_engine.GPU)
    sampler = backend.sampler()
    sampled(sampler, batch(bundle))
    before = len(cuda.blocks)
    for images in (1, 2, 3):
        sampled(sampler, batch(bundle, images=images))
        assert len(cuda.blocks) == before
    assert len(sampler._shapes) == 0
    backend.close()


def test_a_batch_beyond_the_profiles_names_the_command(sampler, bundle):
    wanted = batch(bundle, images=5)
    assert sampler.together(wanted) == 4
    assert sampler.together(batch(bundle, guidance=Guidance(1.0))) == 8
    with pytest.raises(FdcnError, match=r"64x48x10 .* outside every profile .*fdcn build .*64x48x1:64x48x10:64x48x10"):
        sampler.sample(wanted, lambda r: None)
    with pytest.raises(FdcnError, match=r"160x48x4 .*fdcn build"):
        sampler.together(batch(bundle, size=(160, 48)))


def test_without_memory_it_says_what_would_fit_and_stays_usable(cuda, sampler, host, bundle):
    small, large = batch(bundle, images=1), batch(bundle, images=4)
    want, _ = sampled(host, small)
    same(sampled(sampler, small)[0], want)
    whole = cuda.memory
    cuda.memory -= cuda.free() - 150_000
    with pytest.raises(FdcnError, match=r"4 images of 64x48: .* are needed, .* are free; [123] at a time would fit"):
        sampler.sample(large, lambda r: None)
    cuda.memory -= 140_000
    with pytest.raises(OutOfMemory, match=r"a picture of about \d+x\d+ would fit") as caught:
        sampler.sample(batch(bundle, images=1, size=(96, 96)), lambda r: None)
    carried = pickle.loads(pickle.dumps(caught.value))  # as a replica's answer is
    assert isinstance(carried, OutOfMemory)
    assert str(carried) == str(caught.value)
    cuda.memory = whole
    for _ in range(2):
        same(sampled(sampler, small)[0], want)
        same(sampled(sampler, large)[0], sampled(host, large)[0])


def test_memory_that_prepared_shapes_hold_is_given_to_new_ones(cuda, sampler, bundle):
    sampled(sampler, batch(bundle, images=4))
    cuda.memory -= cuda.free()
    sampled(sampler, batch(bundle, images=3))
    assert len(sampler._shapes) == 1


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_run_cancelled_in_the_middle(sampler, host, bundle, at, error):
    wanted = batch(bundle)
    want, _ = sampled(host, wanted)

    def interrupt(r):
        if r == at:
            raise error

    for _ in range(2):
        with pytest.raises(error):
            sampler.sample(wanted, interrupt)
    for _ in range(2):
        same(sampled(sampler, wanted)[0], want)


def test_what_is_not_finite_is_said(sampler, host, bundle):
    wrong = batch(bundle, guidance=Guidance(3e38))
    with pytest.raises(FdcnError, match="lower the guidance"):
        sampled(host, wrong)
    for _ in range(3):
        with np.errstate(all="ignore"), pytest.raises(FdcnError, match=r"float32's range; lower the guidance"):
            sampled(sampler, wrong)
    same(sampled(sampler, batch(bundle))[0], sampled(host, batch(bundle))[0])


def test_a_decoder_takes_the_images_apart(cuda, shipped_bundle, tmp_path):
    bundle = simulated_engine.equipped(shipped_bundle, tmp_path / "model", [parse_profile("8x8:28x28:28x28x8")])
    backend, host = open_engine(bundle, simulated_engine.GPU), HostSampler(OnnxRuntime(bundle), bundle.manifest)
    sampler, m = backend.sampler(), bundle.manifest.model
    plan = sampler_plan("euler", 3, blocks=m.blocks, guidance=Guidance(2.0))
    wanted = Batch(plan, (1, 2, 3), (4, 5, 6), m.classes, (m.channels, 14, 22), (21, 13))
    assert 4 * m.channels * 14 * 22 % 256  # an image within the batch begins where no tensor may
    want, _ = sampled(host, wanted)
    for _ in range(2):
        same(sampled(sampler, wanted)[0], want)
    assert cuda.log.count("launch") == 1
    backend.close()
    assert not cuda.left()


def test_threads_share_one_sampler(sampler, host, bundle):
    every = [batch(bundle, images=1 + i % 3, labels=tuple(range(i, i + 1 + i % 3))) for i in range(6)]
    got: list = [None] * len(every)

    def work(i):
        for _ in range(3):
            got[i] = sampler.sample(every[i], lambda r: None)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(every))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, wanted in zip(got, every, strict=True):
        same(one, sampled(host, wanted)[0])


def test_another_gpu_is_current_for_the_calls_alone(cuda, bundle, host):
    backend = open_engine(bundle, dataclasses.replace(simulated_engine.GPU, index=1))
    cuda.current.contexts.append("the caller's")
    seen = []
    retained = cuda.cudaMalloc
    cuda.cudaMalloc = lambda size: seen.append(cuda.current.contexts[-1]) or retained(size)
    wanted = batch(bundle, on_device=True)
    got, _ = sampled(backend.sampler(), wanted)
    assert set(seen) == {"context of 1"}
    assert cuda.current.contexts.pop() == "the caller's"
    assert not cuda.current.contexts
    assert got.latents.__dlpack_device__() == (2, 1)
    assert_close(on_host(cuda, got.latents), sampled(host, wanted)[0].latents, SAME, SAME)
    backend.close()
    del got
    gc.collect()
    assert not cuda.left()


def test_opening_and_closing_leaves_nothing(cuda, bundle):
    for i in range(200):
        backend = open_engine(bundle, simulated_engine.GPU)
        sampler = backend.sampler()
        if i % 50 == 0:
            sampler.warm_up(batch(bundle, steps=2))
        if i % 2:
            sampler.close()
        backend.close()
        assert not cuda.left()
    backend = open_engine(bundle, simulated_engine.GPU)
    sampled(backend.sampler(), batch(bundle, steps=2))
    del backend
    gc.collect()
    assert not cuda.left()
