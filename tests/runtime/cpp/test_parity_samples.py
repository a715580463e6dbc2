"""Pictures by the C++ runtime are Python's, on the same graphs and the same ONNX Runtime, and FlowDCN's own."""

import contextlib
import ctypes
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from c_library import Api, library
from calibrated import calibrate, ranges, recipe
from cpp_runtime import built
from oracles import assert_close

import fdcn
from fdcn.bundle import MANIFEST, Bundle
from fdcn.export.engine import build_onnxruntime
from fdcn.export.exporter import Options, export
from fdcn.export.quantised_graphs import int8
from fdcn.runtime.solvers import SOLVERS

CLOSE = 1e-5
"""Latents: the same graphs and products, and arithmetic of the same roundings."""
SAMPLES = 5e-4
"""The released code's trajectories: see tests/golden/README.md."""
GOLDEN = {
    "euler_8": {"steps": 8, "last_step": 0.04},
    "euler_sde_mean_6": {"steps": 6, "last_step": 0.04},
    "heun_5": {"steps": 5, "last_step": 0.04},
    "heun_exact_5": {"steps": 5, "last_step": 0.04},
    "adams2_6": {"steps": 6},
    "adams4_7": {"steps": 7},
    "neural_5": {"steps": 5},
    "neural_10": {"steps": 10},
}


class Pair:
    """A bundle in both runtimes: `pair(labels, …)` gives the latents and pixels of each."""

    def __init__(self, api, bundle):
        self._api = api
        options = api.make("options_create", kind="options")
        api("options_set_backend", options, b"onnxruntime")
        self._pipeline = api.make("pipeline_load", bytes(bundle.path), options, kind="pipeline")
        self.python = fdcn.load(bundle.path, "onnxruntime")
        # The same version of ONNX Runtime, graphs and operator.
        self.name = api("pipeline_backend", self._pipeline).decode()
        assert self.name == self.python.backend.name

    def cpp(self, labels, noise=None, **options):
        """What C++ samples: latents and pixels."""
        api, request = self._api, {"labels": [int(label) for label in labels], **options}
        with contextlib.closing(Api(api.library)) as made:
            asked = made.make("request_parse", json.dumps(request).encode(), kind="request")
            if noise is not None:
                made("request_set_noise", asked, noise.ctypes.data, (ctypes.c_int64 * 4)(*noise.shape))
            images = made.make("pipeline_run", self._pipeline, asked, kind="images")
            sides = (ctypes.c_int64 * 4)()
            made("images_latent_shape", images, sides)
            latents = _array(made("images_latents", images), tuple(sides), np.float32)
            pixels = [made(f"images_{name}", images) for name in ("count", "height", "width", "channels")]
            return latents, _array(made("images_pixels", images), pixels, np.uint8)

    def check(self, labels, **options):
        """Compare the two; gives the latents."""
        latents, pixels = self.cpp(labels, **options)
        want = self.python(labels, **options)
        assert_close(latents, want.latents, CLOSE, CLOSE)
        # A level, where a latent's last bits decide how it is rounded.
        assert pixels.shape == want.pixels.shape
        assert np.abs(pixels.astype(int) - want.pixels).max() <= 1
        assert (pixels != want.pixels).mean() <= 1e-3
        return latents


def _array(address, shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(ctypes.string_at(address, size), dtype).reshape(shape)


def noise_of(bundle, images, height, width):
    return np.random.default_rng(0).standard_normal(
        (images, bundle.manifest.model.channels, height, width), dtype=np.float32
    )


@pytest.fixture(scope="module")
def opened():
    return library(built() / "libfdcn.so")


@pytest.fixture
def pair(opened, native_operator):
    """pair(bundle) → the bundle in both runtimes, closed with the test."""
    with contextlib.ExitStack() as closing:

        def open_both(bundle):
            made = Pair(closing.enter_context(contextlib.closing(Api(opened))), bundle)
            closing.enter_context(made.python)
            return made

        yield open_both


@pytest.fixture
def tiny(pair, tiny_bundle):
    return pair(tiny_bundle)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_samples(tiny, golden, name):
    arrays = np.load(golden / "samples.npz")
    solver = name.rpartition("_")[0].replace("_", "-")
    latents, _ = tiny.cpp(arrays["y"], noise=arrays["noise"], solver=solver, guidance=2.5, **GOLDEN[name])
    assert_close(latents, arrays[name], SAMPLES, 0)


def test_golden_samples_are_all_covered(golden):
    assert set(np.load(golden / "samples.npz")) - {"noise", "y", "guidance"} == set(GOLDEN)


def test_golden_s_max(tiny, golden):
    arrays = np.load(golden / "smax_8x48.npz")
    options = {"noise": arrays["noise"], "solver": "euler", "steps": 4, "last_step": 0.04, "guidance": 2.5}
    latents, _ = tiny.cpp(arrays["y"], **options)
    assert_close(latents, arrays["out"], SAMPLES, 0)
    off, _ = tiny.cpp(arrays["y"], s_max_adjust=False, **options)
    assert np.abs(off - arrays["out"]).max() > 100 * SAMPLES


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_and_guidance(tiny, tiny_bundle, solver):
    noise = noise_of(tiny_bundle, 2, 8, 6)
    for guidance in (
        {"guidance": 1.0},
        {"guidance": 2.5},
        {"guidance": 2.5, "guidance_channels": "3"},
        {"guidance": 3.0, "guidance_interval": (0.3, 0.7)},
    ):
        latents = tiny.check([3, 8], noise=noise, solver=solver, steps=5, **guidance)
        assert np.abs(latents - noise).max() > 0.1  # it went somewhere


@pytest.mark.parametrize("size", [(1, 1), (27, 30), (57, 29), (112, 20)])
def test_any_size_from_seeds(pair, shipped_bundle, size):
    both = pair(shipped_bundle)
    both.check([0, 1, 9], size=size, solver="heun-sde", steps=3, seed=2**64 - 2)
    both.check([5], size=size, s_max_adjust=True, solver="euler", steps=2)


def test_batches_that_are_split(pair, shipped_bundle):
    both = pair(shipped_bundle)
    labels = [i % 10 for i in range(23)]
    latents = both.check(labels, solver="euler", steps=2, seed=4)
    alone, _ = both.cpp(labels[-1:], solver="euler", steps=2, seed=4 + 22)
    assert_close(latents[-1:], alone, CLOSE, CLOSE)


def test_optimised_graphs(pair, shipped_bundle, tmp_path, native_operator):
    shutil.copytree(shipped_bundle.path, tmp_path / "model")
    both = pair(build_onnxruntime(Bundle.open(tmp_path / "model"), native=True))
    assert "optimised graphs, native operator" in both.name
    both.check([3, 7], solver="neural", steps=5, size=(56, 28))


def test_integers_and_step_groups(pair, shipped_bundle, tmp_path, native_operator):
    shutil.copytree(shipped_bundle.path, tmp_path / "model")
    copy = calibrate(
        Bundle.open(tmp_path / "model"), [recipe(shipped_bundle, "int8", ranges(shipped_bundle), (0.5, 1))]
    )
    bundle = build_onnxruntime(copy, native=True, quantise=int8)
    both = pair(bundle)
    assert "int8 engine's graphs" in both.name
    options = {"noise": noise_of(bundle, 2, 28, 28), "solver": "euler", "steps": 4, "guidance": 2.5}
    grouped = both.check([3, 7], **options)
    # The second group's graph is another one.
    (engine,) = bundle.manifest.engines
    alone = dataclasses.replace(bundle.manifest, engines=[dataclasses.replace(engine, step_groups=[])])
    (bundle.path / MANIFEST).write_text(alone.to_json())
    assert np.abs(pair(Bundle.open(bundle.path)).check([3, 7], **options) - grouped).max() > 1e-3


@pytest.mark.large  # its export takes half a minute
def test_a_decoder(pair, tmp_path, golden):
    diffusers = pytest.importorskip("diffusers", reason="fdcn[vae] is not installed")
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
    )
    vae.save_pretrained(tmp_path / "vae")
    both = pair(export(golden / "tiny.pth", tmp_path / "bundle", Options(vae=tmp_path / "vae")))
    assert both.python.bundle.manifest.pixel_factor == 2
    both.check([3, 4], size=(37, 18), solver="euler", steps=2)
