"""The generator in this process: its pictures, its limits, and what becomes of those who are late or leave."""

import asyncio
import contextlib
import functools
import inspect
import io
import math
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.pipeline import Pipeline
from fdcn.serve.generator import Ask, Busy, Encoding, NotReady, Preview, Progress, Refused, Result, TooLate
from fdcn.serve.local import LocalGenerator
from fdcn.serve.metrics import Metrics
from fdcn.serve.settings import Settings

SOON = 60
"""Seconds after which a test is stuck."""
PNG = Encoding()
MATES = 3
"""Levels of a pixel: ONNX Runtime may take other kernels for other row counts, and random weights amplify that."""
TOGETHER = 0.25
"""Seconds within which a test sends what is to be one batch."""


def asynchronous(test):
    """Run a test on an event loop of its own."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), SOON))

    run.__signature__ = inspect.signature(test)
    return run


@contextlib.asynccontextmanager
async def open_generator(bundle, **settings):
    made = LocalGenerator(Settings(bundle=bundle.path, **settings), Metrics())
    await made.start()
    try:
        yield made
    finally:
        await made.close()
        assert made.waiting == 0


async def result(generator, seconds=SOON, encoding=PNG, latents=False, **options) -> Result:
    (only,) = [event async for event in generator.generate(Ask("id", options, seconds, encoding, latents))]
    return only


def pixels(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as opened:
        array = np.array(opened)
    return array if array.ndim == 3 else array[:, :, None]


def assert_pictures(files, want, tolerance=0):
    """Files hold the pictures uint8 [B, H, W, C]."""
    got = np.stack([pixels(file) for file in files])
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= tolerance


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    with Pipeline(toy_bundle, "onnxruntime") as made:
        yield made


@pytest.fixture(scope="module")
def generator(toy_bundle):
    """One that is only asked, each time on another event loop."""
    made = LocalGenerator(Settings(bundle=toy_bundle.path, max_size=(20_000, 8)), Metrics())
    asyncio.run(made.start())
    yield made
    asyncio.run(made.close())


class Gate:
    """Lets no evaluation begin while it is shut."""

    def __init__(self):
        self._open, self._reached = threading.Event(), threading.Event()
        self.open()

    def open(self):
        self._open.set()

    def shut(self):
        self._reached.clear()
        self._open.clear()

    async def reached(self):
        """Somebody stands before it."""
        assert await asyncio.to_thread(self._reached.wait, SOON)

    def pass_through(self):
        self._reached.set()
        assert self._open.wait(SOON)


@pytest.fixture
def gate(monkeypatch):
    """Before every evaluation."""
    made, original = Gate(), OnnxRuntime.denoise

    def denoise(self, *arrays):
        made.pass_through()
        return original(self, *arrays)

    monkeypatch.setattr(OnnxRuntime, "denoise", denoise)
    yield made
    made.open()


@pytest.mark.parametrize(
    "options",
    [
        dict(labels=["Ring"], seed=7),
        dict(labels=["Étoile", 0], count=2, size=(12, 9), solver="euler", steps=4, last_step=0.04, guidance=2.5),
        dict(seeds=[5, 2**64 - 1, 5], solver="heun-sde", steps=3, guidance_interval=(0.1, 0.8)),
        dict(labels=[1], noise=np.full((2, 1, 8, 16), 0.5, np.float32)),
    ],
)
@asynchronous
async def test_pictures_are_those_of_the_pipeline(toy_bundle, pipe, options):
    async with open_generator(toy_bundle) as generator:
        got = await result(generator, latents=True, **options)
    want = pipe(**options)
    assert_pictures(got.pictures, want.pixels)
    assert got.parameters == want.parameters()
    assert got.notes == pipe.notes(want.request)
    np.testing.assert_array_equal(np.load(io.BytesIO(got.latents), allow_pickle=False), want.latents)
    assert got.batch == len(want.pixels)
    assert 0 <= got.queued < SOON
    assert 0 < got.sampling < SOON


@asynchronous
async def test_requests_of_a_kind_share_a_batch(toy_bundle, pipe):
    async with open_generator(toy_bundle, max_batch=4, max_delay=TOGETHER) as generator:
        got = await asyncio.gather(*(result(generator, labels=[i % 3], seed=i) for i in range(4)))
    for i, one in enumerate(got):
        assert one.batch == 4
        assert_pictures(one.pictures, pipe([i % 3], seed=i).pixels, tolerance=MATES)
        assert one.parameters["seeds"] == [i]


@asynchronous
async def test_a_request_alone_waits_no_longer_than_the_delay(toy_bundle):
    async with open_generator(toy_bundle, max_batch=4, max_delay=TOGETHER) as generator:
        assert TOGETHER <= (await result(generator, labels=[0])).queued < SOON / 2
    async with open_generator(toy_bundle, max_batch=1, max_delay=SOON) as generator:
        assert (await result(generator, labels=[0])).queued < SOON / 2


@asynchronous
async def test_those_who_watch_see_progress_and_previews(toy_bundle, pipe):
    options, seen = dict(labels=[0], count=2, size=(9, 8), solver="euler", steps=40, preview_every=10), []
    async with open_generator(toy_bundle) as generator:
        async for event in generator.generate(Ask("id", options, SOON, watched=True)):
            seen.append(event)
    progress = [event.done for event in seen if isinstance(event, Progress)]
    assert progress == sorted(set(progress))
    assert progress[-1] == 40
    shown = {}
    pipe(**options, preview=lambda done, first, pixels: shown.update({done: pixels}))
    previews = [event for event in seen if isinstance(event, Preview)]
    assert previews
    for event in previews:
        assert (event.total, event.first) == (40, 0)
        assert_pictures(event.pictures, shown[event.done])
    assert isinstance(seen[-1], Result)
    assert sum(isinstance(event, Result) for event in seen) == 1


@asynchronous
async def test_a_slow_listener_sees_the_newest_and_keeps_nothing_else(toy_bundle):
    options = dict(labels=[0], solver="euler", steps=100, preview_every=1)
    async with open_generator(toy_bundle) as generator:
        events = generator.generate(Ask("id", options, SOON, watched=True))
        seen = [await anext(events)]
        await result(generator, labels=[1])  # it is sampled after the other, which nobody listened to meanwhile
        seen += [event async for event in events]
    previews = [event.done for event in seen if isinstance(event, Preview)]
    assert len(previews) <= 3  # what was new at the first look, and at the second
    assert previews[-1] == 99
    assert isinstance(seen[-1], Result)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (dict(labels=[0], count=4), "count"),
        (dict(labels=[0], noise=np.zeros((4, 1, 8, 8))), "count"),
        (dict(size=(17, 1)), "size"),
        (dict(size=(12, 12)), "size"),
        (dict(solver="euler", steps=21), "steps"),
        (dict(labels=[0], solver="euler", steps=20, preview_every=1), "preview_every"),
    ],
)
@asynchronous
async def test_what_is_beyond_the_limits_is_refused(toy_bundle, monkeypatch, options, param):
    monkeypatch.setattr("fdcn.serve.admission.PREVIEW_BYTES", 3 * 64 * 15)
    async with open_generator(toy_bundle, max_images=3, max_size=(16, 8), max_steps=20) as generator:
        with pytest.raises(Refused) as refused:
            await anext(generator.generate(Ask("id", options, SOON, watched=True)))
        assert refused.value.param == param
        assert generator.waiting == 0
        for size in ((16, 8), (8, 16), (11, 11)):
            assert len((await result(generator, labels=[0], size=size)).pictures) == 1
        assert (await result(generator, labels=[0], solver="euler", steps=20, preview_every=1)).pictures


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (dict(labels=["Dics"], count=2, seed=1), "labels"),
        (dict(labels=[3]), "labels"),
        (dict(labels=[0], size=(0, 8)), "size"),
        (dict(steps=99), "steps"),
        (dict(solver="eular", steps=10), "solver"),
        (dict(solver="euler"), "solver"),
        (dict(solver="euler", steps=9, last_step=2.0), "last_step"),
        (dict(guidance_interval=(0.5, 0.1)), "guidance_interval"),
        (dict(labels=[0, 1], seeds=[1]), "seeds"),
        (dict(noise=np.full((1, 1, 8, 8), np.nan)), "noise"),
        (dict(labels=[0], size=(17_000, 1)), "output_format"),
    ],
)
@asynchronous
async def test_impossible_requests_are_refused_at_once_with_their_field(generator, options, param):
    with pytest.raises(Refused) as refused:
        await result(generator, encoding=Encoding("webp"), **options)
    assert refused.value.param == param
    assert generator.waiting == 0


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (dict(labels=["Dics"], solver="euler", steps=10**12), "steps"),
        (dict(labels=["Disc"], count=10**12), "count"),
        (dict(labels=["Dics"] * 100_000), "count"),
        (dict(labels=[0], noise=np.zeros((10_000, 1, 4, 4), np.float32)), "count"),
    ],
)
@asynchronous
async def test_huge_numbers_are_refused_before_anything_is_made_of_them(generator, options, param):
    with pytest.raises(Refused) as refused:
        await result(generator, **options)
    assert refused.value.param == param


@asynchronous
async def test_a_request_that_is_wrong_in_two_ways_is_an_error(generator):
    for wrong in (dict(labels=["Dics"], size=(0, 1)), dict(preview_every=-1)):
        with pytest.raises(FdcnError):
            await result(generator, **wrong)


@asynchronous
async def test_a_full_queue_refuses_and_goes_on(toy_bundle, gate):
    async with open_generator(toy_bundle, max_queue=3, max_images=3, warmup=((9, 8, 2),)) as generator:
        gate.shut()
        first = asyncio.create_task(result(generator, labels=[0], count=2))
        second = asyncio.create_task(result(generator, labels=[1]))
        await asyncio.sleep(0)
        assert generator.waiting == 3
        with pytest.raises(Busy) as busy:
            await result(generator, labels=[2])
        assert 1 <= busy.value.retry_after <= 60
        gate.open()
        assert [len(one.pictures) for one in await asyncio.gather(first, second)] == [2, 1]
        assert (await result(generator, labels=[2])).pictures


@asynchronous
async def test_deadlines_end_what_waits_and_what_runs(toy_bundle, gate):
    async with open_generator(toy_bundle) as generator:
        gate.shut()
        running = asyncio.create_task(result(generator, seconds=0.5, labels=[0]))
        await gate.reached()
        queued = asyncio.create_task(result(generator, seconds=0.1, labels=[0], size=(9, 9)))
        patient = asyncio.create_task(result(generator, labels=[0], size=(9, 9)))
        for late in (running, queued):
            with pytest.raises(TooLate):
                await late
        assert generator.waiting == 2  # the thread is still at the first: it counts until it has let go
        gate.open()
        assert (await patient).batch == 1


@asynchronous
async def test_a_listener_who_takes_nothing_keeps_no_place_in_the_queue(toy_bundle):
    options = dict(labels=[0], solver="euler", steps=100, preview_every=1)
    async with open_generator(toy_bundle) as generator:
        events = generator.generate(Ask("id", options, 1, watched=True))
        await anext(events)
        while generator.waiting:
            await asyncio.sleep(0.01)
        with pytest.raises(TooLate):
            await anext(events)


@asynchronous
async def test_who_leaves_is_not_sampled_any_more(toy_bundle, gate):
    async with open_generator(toy_bundle) as generator:
        gate.shut()
        watcher = generator.generate(Ask("id", dict(solver="euler", steps=200), SOON, watched=True))
        running = asyncio.create_task(anext(watcher))
        queued = asyncio.create_task(result(generator, size=(9, 9)))
        await gate.reached()
        for left in (running, queued):
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await left
        assert generator.waiting == 3
        gate.open()
        while generator.waiting:
            await asyncio.sleep(0.01)
        assert (await result(generator, labels=[0])).pictures


@asynchronous
async def test_closing_a_watched_iterator_gives_it_up(toy_bundle):
    async with open_generator(toy_bundle) as generator:
        watcher = generator.generate(Ask("id", dict(solver="euler", steps=250), SOON, watched=True))
        assert isinstance(await anext(watcher), Progress)
        await watcher.aclose()
        while generator.waiting:
            await asyncio.sleep(0.01)


@asynchronous
async def test_closing_finishes_what_was_accepted(toy_bundle, gate):
    generator = LocalGenerator(Settings(bundle=toy_bundle.path), Metrics())
    with pytest.raises(NotReady):
        await result(generator)
    with pytest.raises(NotReady):
        generator.describe()
    await generator.start()
    gate.shut()
    accepted = [asyncio.create_task(result(generator, labels=[i], size=(8 + i, 8))) for i in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(generator.close())
    await asyncio.sleep(0)
    assert not generator.ready
    with pytest.raises(NotReady):
        await result(generator)
    with pytest.raises(FdcnError, match="about to end"):
        await generator.reload()
    gate.open()
    assert [len((await one).pictures) for one in accepted] == [1, 1, 1]
    await closing
    await generator.close()
    assert not generator.ready


@pytest.fixture
def own_bundle(toy_bundle, tmp_path):
    """A copy to change."""
    return Bundle.open(shutil.copytree(toy_bundle.path, tmp_path / "own"))


def swap(bundle, sampling: str) -> None:
    """Replace the manifest by one with another default solver."""
    manifest = bundle.path / "manifest.json"
    text = manifest.read_text("utf-8")
    assert '"solver": "neural"' in text
    manifest.write_text(text.replace('"solver": "neural"', f'"solver": "{sampling}"'), "utf-8")


@asynchronous
async def test_a_new_bundle_is_taken_over_without_losing_a_request(own_bundle, gate):
    async with open_generator(own_bundle) as generator:
        before = generator.describe()
        gate.shut()
        accepted = [asyncio.create_task(result(generator, labels=[i])) for i in range(3)]
        await gate.reached()
        swap(own_bundle, "euler")
        taking = asyncio.create_task(generator.reload())
        await asyncio.sleep(0.05)
        assert generator.ready
        gate.open()
        after = await taking
        assert (before.solver, after.solver) == ("neural", "euler")
        assert before.reads != after.reads
        assert generator.describe() == after
        assert [(await one).parameters["solver"] for one in accepted] == ["neural"] * 3
        assert (await result(generator, labels=[0])).parameters["solver"] == "euler"
        while generator._retiring:
            await asyncio.sleep(0.01)


@asynchronous
async def test_a_bundle_that_cannot_be_taken_over_changes_nothing(own_bundle, pipe):
    async with open_generator(own_bundle) as generator:
        before = generator.describe()
        for file in own_bundle.path.rglob("*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        with pytest.raises(FdcnError, match="damaged"):
            await generator.reload()
        shutil.rmtree(own_bundle.path)
        with pytest.raises(FdcnError, match="does not exist"):
            await generator.reload()
        assert generator.ready
        assert generator.describe() == before
        got = await result(generator, labels=["Disc"], seed=1, size=(24, 8))
        assert_pictures(got.pictures, pipe(["Disc"], seed=1, size=(24, 8)).pixels, MATES)


@asynchronous
async def test_a_start_that_fails_leaves_nothing(toy_bundle):
    generator = LocalGenerator(Settings(bundle=toy_bundle.path, warmup=((8, 8, 2), (10**8, 10**4, 1))), Metrics())
    with pytest.raises(FdcnError, match=r"100000000x10000 needs about .* of memory"):
        await generator.start()
    assert not generator.ready
    await generator.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("fdcn")]


def test_settings_that_no_request_could_meet_are_refused(tmp_path):
    with pytest.raises(FdcnError, match="--max-queue"):
        Settings(bundle=tmp_path, max_queue=9, max_images=10)
    with pytest.raises(FdcnError, match="deadline of nan seconds"):
        Settings(bundle=tmp_path, deadline=math.nan)
