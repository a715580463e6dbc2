"""The C interface through ctypes: what it gives, and says, is Python's own."""

import ctypes
import io
import itertools
import json
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from c_library import CANCELLED, DEFECT, ERROR, HEADER, OK, Api, Failed, Progress, declarations, library
from cpp_runtime import ROOT, built
from oracles import assert_close
from PIL import Image

import fdcn
from fdcn.errors import FdcnError

BUNDLE = ROOT / "runtime" / "cpp" / "tests" / "bundle"
CLOSE = 1e-5
"""Latents: the same ONNX Runtime and operator, and arithmetic that rounds alike."""
SOON = 60_000
"""Milliseconds after which a test is stuck."""


@pytest.fixture(scope="module")
def opened():
    return library(built() / "libfdcn.so")


@pytest.fixture
def api(opened):
    made = Api(opened)
    yield made
    made.close()


@pytest.fixture
def pipeline(api):
    return api.make("pipeline_load", bytes(BUNDLE), None, kind="pipeline")


@pytest.fixture
def python(native_operator):
    with fdcn.load(BUNDLE, "onnxruntime") as pipe:
        yield pipe


def request(api, **given):
    return api.make("request_parse", json.dumps(given).encode(), kind="request")


def run(api, pipeline, asked):
    return api.make("pipeline_run", pipeline, asked, kind="images")


def shape(api, images):
    sides = (ctypes.c_int64 * 4)()
    api("images_latent_shape", images, sides)
    return tuple(sides)


def array(address, sides, kind):
    count = int(np.prod(sides))
    return np.frombuffer((kind * count).from_address(address), np.dtype(kind)).reshape(sides)


def pixels(api, images, address=None):
    sides = [api(f"images_{name}", images) for name in ("count", "height", "width", "channels")]
    return array(address or api("images_pixels", images), sides, ctypes.c_uint8)


def latents(api, images):
    return array(api("images_latents", images), shape(api, images), ctypes.c_float)


def check(api, images, want):
    """Compare with Python's pictures."""
    assert_close(latents(api, images), want.latents, CLOSE, CLOSE)
    assert np.abs(pixels(api, images).astype(int) - want.pixels).max() <= 1
    assert pixels(api, images).shape == want.pixels.shape
    assert [api("images_name", images, i).decode() for i in range(len(want.names))] == want.names
    assert tuple(api("images_seed", images, i) for i in range(len(want.names))) == want.request.seeds
    assert api("images_parameters", images).decode() == json.dumps(want.parameters())
    assert api("images_previews", images) == len(want.previews)
    for i, preview in enumerate(want.previews):
        mine = pixels(api, images, api("images_preview", images, i))
        assert np.abs(mine.astype(int) - preview).max() <= 1
    assert api("images_on_device", images) == 0


REQUESTS = [
    {},
    {"labels": ["ring", 2, "ÉTOILE"], "count": 2, "size": [13, 6], "seed": 2**64 - 2},
    {"labels": [1], "seeds": [7], "solver": "heun-sde-preserve", "steps": 6, "last_step": 0.04},
    {"labels": ["0"], "guidance": 1.0, "solver": "adams3", "steps": 7, "preview_every": 2},
    {"labels": [0, 1], "guidance": 2.5, "guidance_channels": "3", "guidance_interval": [0.2, 0.75]},
    {"labels": [0], "s_max_adjust": False, "size": [24, 8], "solver": None, "preview_every": 10},
]


@pytest.mark.parametrize("given", REQUESTS)
def test_pictures_are_pythons(api, pipeline, python, given):
    images = run(api, pipeline, request(api, **given))
    check(api, images, python(**{name: value for name, value in given.items() if value is not None}))
    again = api.make("request_parse", api("images_parameters", images), kind="request")
    np.testing.assert_array_equal(latents(api, run(api, pipeline, again)), latents(api, images))


def test_noise_is_copied_or_borrowed(api, pipeline, python):
    noise = np.random.default_rng(0).standard_normal((2, 1, 8, 10)).astype(np.float32)
    sides = (ctypes.c_int64 * 4)(*noise.shape)
    want = python([1], noise=noise)
    copied, borrowed = request(api, labels=[1]), request(api, labels=[1])
    api("request_borrow_noise", borrowed, noise.ctypes.data, sides, 0)
    check(api, run(api, pipeline, borrowed), want)
    api("request_set_noise", copied, noise.ctypes.data, sides)
    noise[:] = np.nan
    check(api, run(api, pipeline, copied), want)
    with pytest.raises(Failed, match="must be finite real numbers"):
        run(api, pipeline, borrowed)


IMPOSSIBLE = [
    {"labels": ["Rong"]},
    {"labels": [3]},
    {"labels": [-1]},
    {"count": 0},
    {"labels": [0], "count": 100_001},
    {"labels": [0, 1], "seeds": [1]},
    {"size": [0, 8]},
    {"size": [60_000, 60_000]},
    {"solver": "eler"},
    {"solver": "euler"},
    {"solver": "neural", "steps": 4},
    {"solver": "neural", "steps": 10, "last_step": 0.1},
    {"guidance_channels": "4"},
    {"guidance_interval": [0.7, 0.2]},
    {"guidance": 1e300},
    {"preview_every": -1},
]


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("given", IMPOSSIBLE)
def test_what_python_refuses_is_refused_with_its_sentence(api, pipeline, python, given):
    with pytest.raises(FdcnError) as wanted:
        python(**given)
    with pytest.raises(Failed) as found:
        run(api, pipeline, request(api, **given))
    assert found.value.status == ERROR
    assert _without_amounts(str(found.value)) == _without_amounts(str(wanted.value))


def _without_amounts(sentence):
    """How much memory is free changes from one call to the next."""
    return sentence.rpartition(" are free")[0].rpartition(",")[0] or sentence


@pytest.mark.parametrize("folder", ["no/such/bundle", ".", ""])
def test_what_cannot_be_opened_is_refused_with_pythons_sentence(api, folder):
    with pytest.raises(FdcnError) as wanted:
        fdcn.load(folder)
    with pytest.raises(Failed) as found:
        api.make("pipeline_load", folder.encode(), None, kind="pipeline")
    assert (found.value.status, str(found.value)) == (ERROR, str(wanted.value))


def test_options(api, python):
    options = api.make("options_create", kind="options")
    api("options_set_backend", options, b"onnxruntime")
    api("options_add_warmup", options, 8, 8, 2)
    pipeline = api.make("pipeline_load", bytes(BUNDLE), options, kind="pipeline")
    check(api, run(api, pipeline, request(api)), python())
    api("options_add_warmup", options, 8, 0, 2)
    for setting, value, wanted in (
        (None, None, "(8, 0, 2) is not (width, height, images), such as (256, 256, 8), to warm up"),
        ("device", 3, "ONNX Runtime runs on the CPU, not on GPU 3; leave one of the two out"),
        ("backend", b"abacus", None),
    ):
        if setting:
            api(f"options_set_{setting}", options, value)
        with pytest.raises(Failed) as found:
            api.make("pipeline_load", bytes(BUNDLE), options, kind="pipeline")
        assert wanted is None or str(found.value) == wanted
    with pytest.raises(FdcnError) as refused:
        fdcn.load(BUNDLE, "abacus")
    assert str(found.value) == str(refused.value)


def test_what_a_pipeline_says_of_itself(api, pipeline, python, opened):
    assert api("pipeline_backend", pipeline).decode() == python.backend.name
    assert api("pipeline_classes", pipeline) == 3
    assert [api("pipeline_class_name", pipeline, i) for i in range(-1, 4)] == [
        None,
        *(name.encode() for name in python.bundle.manifest.class_names),
        None,
    ]
    assert (api("pipeline_train_width", pipeline), api("pipeline_train_height", pipeline)) == (8, 8)
    assert opened.fdcn_version().decode() == fdcn.__version__


def test_notes(api, pipeline, python):
    from fdcn.runtime.request import resolve

    for size in ((8, 8), (16, 8)):
        asked = request(api, size=size)
        needed = ctypes.c_size_t()
        api("pipeline_notes", pipeline, asked, None, 0, ctypes.byref(needed))
        text = ctypes.create_string_buffer(needed.value)
        api("pipeline_notes", pipeline, asked, text, needed, ctypes.byref(needed))
        notes = python.notes(resolve(python.bundle.manifest, size=size))
        assert text.value.decode().splitlines() == notes
        assert needed.value == len(text.value) + 1
        with pytest.raises(Failed, match="there is room for 0"):
            api("pipeline_notes", pipeline, asked, text, 0, ctypes.byref(needed))
    assert notes


def test_pictures_become_png_files(api, pipeline, tmp_path):
    images = run(api, pipeline, request(api, labels=[1, 2], seed=3))
    for i in range(2):
        needed = ctypes.c_size_t()
        api("images_png", images, i, None, 0, ctypes.byref(needed))
        small = (ctypes.c_uint8 * (needed.value - 1))()
        with pytest.raises(Failed) as found:
            api("images_png", images, i, small, len(small), ctypes.byref(needed))
        assert str(found.value) == f"{needed.value} bytes are needed, and there is room for {len(small)}"
        assert found.value.status == ERROR
        assert len(small) == needed.value - 1
        assert not any(small)
        file = (ctypes.c_uint8 * needed.value)()
        api("images_png", images, i, file, len(file), ctypes.byref(needed))
        with Image.open(io.BytesIO(bytes(file))) as picture:
            np.testing.assert_array_equal(np.asarray(picture), pixels(api, images)[i, :, :, 0])
            assert picture.info["Software"] == f"fdcn {fdcn.__version__}"
            made = json.loads(picture.info["fdcn"])
        assert made["labels"] == [("Ring", "Étoile")[i]]
        alone = run(api, pipeline, request(api, **made))
        assert_close(latents(api, alone)[0], latents(api, images)[i], CLOSE, CLOSE)
    path = tmp_path / "sheet.png"
    api("images_save", images, bytes(path))
    with Image.open(path) as sheet:
        assert json.loads(sheet.info["fdcn"]) == json.loads(api("images_parameters", images))
        levels = np.asarray(sheet)
    large = pixels(api, images)[1, :, :, 0].repeat(14, 0).repeat(14, 1)
    np.testing.assert_array_equal(levels[-8 - 112 : -8, -8 - 112 : -8], large)
    for i in (-1, 2):
        with pytest.raises(Failed, match=f"there is no picture {i}; there are 2"):
            api("images_png", images, i, None, 0, ctypes.byref(needed))


def test_progress_is_told_and_may_end_the_run(api, pipeline):
    told, end = [], 3

    @Progress
    def progress(user, done, total):
        told.append((user, done, total))
        return int(done == end)

    asked = request(api, labels=[0], solver="euler", steps=5)
    api("request_set_progress", asked, progress, 7)
    for make in (lambda: run(api, pipeline, asked), lambda: _submitted(api, pipeline, asked)):
        told.clear()
        with pytest.raises(Failed, match="cancelled") as found:
            make()
        assert found.value.status == CANCELLED
        assert told == [(7, i, 5) for i in (1, 2, 3)]
    end = 0
    told.clear()
    run(api, pipeline, asked)
    assert len(told) == 5
    api("request_set_progress", asked, Progress(), None)
    run(api, pipeline, asked)
    assert len(told) == 5


def _submitted(api, pipeline, asked):
    future = api.make("pipeline_submit", pipeline, asked, kind="future")
    assert api("future_wait", future, SOON) == 1
    return api.make("future_get", future, kind="images")


def test_futures(api, pipeline, python):
    begun, go = threading.Event(), threading.Event()

    @Progress
    def hold(user, done, total):
        begun.set()
        return int(not go.wait(SOON / 1000))

    held = request(api, labels=[0])
    api("request_set_progress", held, hold, None)
    running = api.make("pipeline_submit", pipeline, held, kind="future")
    assert begun.wait(SOON / 1000)
    asked = request(api, labels=[1, 2], seed=9)
    waiting, dropped = (api.make("pipeline_submit", pipeline, asked, kind="future") for _ in range(2))
    assert api("future_wait", waiting, 0) == 0
    assert (api("future_cancel", dropped), api("future_cancel", running)) == (1, 0)
    with pytest.raises(Failed) as found:
        api.make("future_get", dropped, kind="images")
    assert found.value.status == CANCELLED
    go.set()
    assert api("future_wait", waiting, SOON) == 1
    for future, want in ((waiting, python([1, 2], seed=9)), (running, python([0]))):
        for _ in range(2):
            check(api, api.make("future_get", future, kind="images"), want)
    with pytest.raises(Failed, match="no class is called"):
        api.make("pipeline_submit", pipeline, request(api, labels=["Square"]), kind="future")


def test_a_closed_pipeline_says_so_as_python_does(api, pipeline, python):
    api("pipeline_close", pipeline)
    api("pipeline_close", pipeline)
    python.close()
    asked = request(api)
    with pytest.raises(FdcnError) as wanted:
        python()
    for call in ("run", "submit"):
        with pytest.raises(Failed) as found:
            api.make(f"pipeline_{call}", pipeline, asked, kind="images")
        assert str(found.value) == str(wanted.value)
    with pytest.raises(Failed, match="closed"):
        api("pipeline_warm_up", pipeline, 8, 8, 1)


def test_errors_are_their_threads_own(api, pipeline, opened):
    with pytest.raises(Failed):
        request(api, labels=0)
    mine = opened.fdcn_last_error()
    assert mine
    with ThreadPoolExecutor(1) as other:
        assert other.submit(opened.fdcn_last_error).result() == b""
        with pytest.raises(Failed, match="NULL"):
            other.submit(api, "pipeline_close", None).result()
    assert opened.fdcn_last_error() == mine
    api("pipeline_warm_up", pipeline, 8, 8, 1)
    assert opened.fdcn_last_error() == mine


@pytest.mark.parametrize("start", ["", "a"])
def test_an_error_is_cut_between_characters(api, pipeline, start):
    with pytest.raises(Failed) as found:
        run(api, pipeline, request(api, guidance_channels=start + "é" * 9000))
    assert 8190 <= len(str(found.value).encode()) <= 8191


def test_the_error_can_be_asked_for_as_the_program_ends(tmp_path):
    (tmp_path / "user.c").write_text(
        """#include <stdio.h>
        #include <stdlib.h>
        #include "fdcn.h"
        static void end(void) { puts(fdcn_last_error()); }
        int main(void) {
            fdcn_request* request;
            return atexit(end) || fdcn_request_parse("[]", &request) != FDCN_ERROR;
        }"""
    )
    command = ["cc", "user.c", f"-I{HEADER.parent}", built() / "libfdcn.so", f"-Wl,-rpath,{built()}", "-o", "user"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(tmp_path / "user", capture_output=True, text=True, check=True)
    assert done.stdout == "the request cannot be read (request is not an object)\n"


def test_threads_share_a_pipeline(api, pipeline, python):
    given = [{"labels": [i % 3], "seed": i, "solver": "heun-sde", "steps": 3} for i in range(12)]
    with ThreadPoolExecutor(4) as threads:
        images = list(threads.map(lambda one: run(api, pipeline, request(api, **one)), given))
    for made, one in zip(images, given, strict=True):
        check(api, made, python(**one))


@pytest.mark.parametrize("name", sorted(declarations()))
def test_null_is_refused_everywhere(opened, name):
    result, parameters = declarations()[name]
    function = getattr(opened, name)
    for given in itertools.islice(_without_addresses(parameters), 2):
        found = function(*given)
        if result == "fdcn_status":
            assert found not in (OK, DEFECT)
            assert opened.fdcn_last_error().decode().endswith(" is NULL")
        elif name not in ("fdcn_version", "fdcn_last_error"):
            assert not found


def _without_addresses(parameters):
    for number in (0, -1):
        yield [Progress() if "progress" in one else None if "*" in one else number for one in parameters]


@pytest.mark.parametrize("json", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"labels": 1}', b'{"steps": 1e999}'])
def test_what_is_no_request_is_refused(api, json):
    with pytest.raises(Failed) as found:
        api.make("request_parse", json, kind="request")
    assert found.value.status == ERROR
    assert str(found.value)


def test_the_header_is_for_every_c(tmp_path):
    users = {
        "user.c": ["gcc", "-std=c99", "-pedantic"],
        "user.cpp": ["g++", "-std=c++11", "-pedantic"],
    }
    for name, compiler in users.items():
        if shutil.which(compiler[0]) is None:
            pytest.skip(f"the header was not compiled: there is no {compiler[0]}")
        (tmp_path / name).write_text('#include "fdcn.h"\nint main(void) { return (int)fdcn_version()[0]; }\n')
        command = [*compiler, "-Wall", "-Wextra", "-Wstrict-prototypes" * (name == "user.c") or "-Wall", "-Werror"]
        command += ["-c", name, f"-I{HEADER.parent}", "-o", "user.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
