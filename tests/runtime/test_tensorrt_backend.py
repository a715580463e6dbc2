"""The TensorRT backend, its engines run by a simulation of a GPU that is stricter than one: see simulated_gpu.py."""

import dataclasses
import gc
import threading

import numpy as np
import pytest
import simulated_gpu
from oracles import assert_close
from simulated_engine import GPU, equipped, simulated, with_engine

from fdcn.bundle import Bundle, Extent, sha256
from fdcn.errors import FdcnError
from fdcn.export.profiles import parse_profile
from fdcn.plugins import libraries, tensorrt_plugin
from fdcn.runtime.backends.onnxrt import OnnxRuntime
from fdcn.runtime.backends.trt import open_engine
from fdcn.runtime.pipeline import Pipeline

PROFILES = ["8x8:28x28:56x56x4", "60x8x1:84x28x2:84x84x2"]
SAME = 1e-5
"""ONNX Runtime's GEMMs may take other kernels for other row counts."""


@pytest.fixture
def cuda(monkeypatch):
    return simulated(monkeypatch)


@pytest.fixture
def bundle(tmp_path, shipped_bundle):
    """The shipped checkpoint with an engine of two profiles."""
    return equipped(shipped_bundle, tmp_path / "model", [parse_profile(text) for text in PROFILES])


def conditioning(rng, bundle, rows):
    blocks, (_, _, width) = (
        bundle.manifest.model.blocks,
        OnnxRuntime(bundle).condition(np.zeros(1, "f4"), np.zeros(1, "i8"))[1].shape,
    )
    shapes = ((rows, blocks, 6, width), (rows, 2, width))
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes] + [np.full((rows, blocks, 2), 6, np.float32)]


@pytest.mark.parametrize(("steps", "labels"), [(1, 1), (3, 2), (16, 16), (40, 1), (17, 33)])
def test_conditions_any_number_of_steps_and_labels(cuda, bundle, steps, labels):
    t, label = np.linspace(0, 1, steps, dtype=np.float32), np.arange(labels, dtype=np.int64) % 11
    engine, reference = open_engine(bundle, GPU), OnnxRuntime(bundle)
    assert engine.conditioning_bytes == reference.conditioning_bytes
    for got, want in zip(engine.condition(t, label), reference.condition(t, label), strict=True):
        assert_close(got, want, SAME, SAME)


@pytest.mark.parametrize(
    ("rows", "width", "height"), [(1, 8, 8), (2, 28, 28), (4, 56, 10), (9, 28, 28), (3, 84, 84), (2, 60, 8)]
)
def test_denoises_and_decodes_any_batch_in_a_profile(cuda, bundle, rows, width, height):
    rng = np.random.default_rng(0)
    engine, reference = open_engine(bundle, GPU), OnnxRuntime(bundle)
    latent = rng.normal(size=(rows, 1, height, width)).astype(np.float32)
    given = conditioning(rng, bundle, rows)
    for _ in range(2):  # the second run finds what the first has left
        got, want = (backend.denoise("denoiser", latent, *given) for backend in (engine, reference))
        assert_close(got, want, SAME, SAME)
        assert_close(engine.decode(latent), reference.decode(latent), SAME, SAME)


def test_sizes_in_any_order_and_arrays_in_any_layout(cuda, bundle):
    rng = np.random.default_rng(0)
    engine, reference = open_engine(bundle, GPU), OnnxRuntime(bundle)
    for width, height in [(84, 84), (8, 8), (84, 8), (56, 56)]:
        latent = rng.normal(size=(2, height, width, 1)).astype(np.float32).transpose(0, 3, 1, 2)
        given = [array[::-1] for array in conditioning(rng, bundle, 2)]
        got, want = (backend.denoise("denoiser", latent, *given) for backend in (engine, reference))
        assert_close(got, want, SAME, SAME)


def test_samples_as_the_other_backend_does_and_says_what_it_is(cuda, bundle):
    engine = open_engine(bundle, GPU)
    assert engine.name == "TensorRT 10.6.0 on NVIDIA A10 (sm_86), float16 engine, operator as its function"
    request = {"labels": range(10), "size": (56, 28), "solver": "heun-sde", "steps": 2, "guidance": 2.0}
    got, want = (Pipeline(bundle, backend)(**request) for backend in (engine, OnnxRuntime(bundle)))
    assert_close(got.latents, want.latents, 1e-4, 0)


def denoiser_inputs(bundle, rows):
    rng = np.random.default_rng(0)
    names = ("modulation", "final", "s_max")
    latent = rng.normal(size=(rows, 1, 28, 28)).astype(np.float32)
    return {"latent": latent, **dict(zip(names, conditioning(rng, bundle, rows), strict=True))}


@pytest.mark.parametrize("rows", [2, 11])
def test_times_a_graph_by_the_devices_clock(cuda, bundle, rows):
    engine, feeds = open_engine(bundle, GPU), denoiser_inputs(bundle, rows)
    _, parts = engine.engine.fitting("denoiser", rows, (28, 28))
    engine.timed("denoiser", feeds, 3)
    cuda.log.clear()
    taken = engine.timed("denoiser", feeds, 3)
    assert len(taken) == 3
    assert min(taken) > 0
    assert cuda.log == ["run velocity"] * 4 * len(parts)  # one does not count
    assert cuda.clocks == set()
    got, want = (b.denoise("denoiser", **feeds) for b in (engine, OnnxRuntime(bundle)))
    assert_close(got, want, SAME, SAME)


def test_says_what_each_layer_takes(cuda, bundle):
    engine = open_engine(bundle, GPU)
    assert engine.profile("denoiser", denoiser_inputs(bundle, 2)) == [("what makes velocity", 0.0015)]
    assert engine.profile("decoder", {"latent": np.zeros((1, 1, 28, 28), np.float32)})[0][1] == 0.0015
    engine.close()
    assert not any(cuda.left().values())


def test_threads_wait_for_each_other(cuda, bundle):
    rng = np.random.default_rng(0)
    engine, reference = open_engine(bundle, GPU), OnnxRuntime(bundle)
    latents = [rng.normal(size=(2, 1, side, side)).astype(np.float32) for side in (8, 28, 56, 84)]
    given, got = conditioning(rng, bundle, 2), [np.empty(0)] * 4

    def run(i):
        got[i] = engine.denoise("denoiser", latents[i], *given)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert_close(got[i], reference.denoise("denoiser", latents[i], *given), SAME, SAME)


def test_outside_every_profile_names_the_nearest_and_the_command(cuda, bundle):
    engine = open_engine(bundle, GPU)
    latent = np.zeros((2, 1, 28, 90), np.float32)
    with pytest.raises(FdcnError) as caught:
        engine.denoise("denoiser", latent, *conditioning(np.random.default_rng(0), bundle, 2))
    said = str(caught.value)
    assert "90x28x2" in said
    assert "nearest is 60x8x1:84x28x2:84x84x2" in said
    _, _, command = said.partition(f"fdcn build {bundle.path} --fp16 ")
    profiles = [word for word in command.split() if ":" in word]
    assert profiles == [*map(str, map(parse_profile, PROFILES)), "90x28x1:90x28x2:90x28x2"]
    assert parse_profile(profiles[-1]).holds(Extent(90, 28, 2))


def test_everything_is_given_back_in_order(cuda, bundle):
    engine = open_engine(bundle, GPU)
    engine.denoise("denoiser", np.zeros((2, 1, 8, 8), np.float32), *conditioning(np.random.default_rng(0), bundle, 2))
    cuda.log.clear()
    del engine
    gc.collect()
    assert not cuda.left()
    assert cuda.log.index("context gone") < cuda.log.index("memory gone")
    assert cuda.log.count("engine gone") == 3
    assert cuda.log[-2:] == ["memory gone", "stream gone"]


def test_closing_twice_is_closing_once(cuda, bundle):
    engine = open_engine(bundle, GPU)
    engine.close()
    engine.close()
    assert cuda.log.count("stream gone") == 1


def test_a_gpu_without_room_says_for_which_tensor(cuda, bundle):
    engine = open_engine(bundle, GPU)
    cuda.memory -= cuda.free() - 1000
    rng = np.random.default_rng(0)
    with pytest.raises(
        FdcnError,
        match=r"GPU's memory does not suffice for tensor \w+ of the denoiser: .* are needed, .* are free; free",
    ):
        engine.denoise("denoiser", rng.normal(size=(2, 1, 56, 56)).astype(np.float32), *conditioning(rng, bundle, 2))


def test_an_engine_that_is_not_what_the_manifest_says(cuda, bundle):
    (engine,) = bundle.manifest.engines
    other = dataclasses.replace(engine.target, profiles=engine.target.profiles[:1])
    lying = Bundle(
        bundle.path, dataclasses.replace(bundle.manifest, engines=[dataclasses.replace(engine, target=other)])
    )
    with pytest.raises(
        FdcnError, match=r"has profiles 8x8.* 60x8.*, the manifest says 8x8[^ ]*; build it again: fdcn build"
    ):
        open_engine(lying, GPU)
    assert not cuda.streams


def test_damaged_engines_are_refused_before_tensorrt_sees_them(cuda, bundle, monkeypatch):
    monkeypatch.setattr(simulated_gpu.Runtime, "deserialize_cuda_engine", lambda *given: pytest.fail("it was loaded"))
    rng = np.random.default_rng(0)
    for name, graph in bundle.manifest.engines[0].graphs.items():
        path = bundle.path / graph.file
        whole = path.read_bytes()
        for offset in rng.integers(0, len(whole), 66):
            flipped = bytearray(whole)
            flipped[offset] ^= 1 << rng.integers(8)
            for damaged in (whole[:offset], bytes(flipped)):
                path.write_bytes(damaged)
                with pytest.raises(FdcnError, match=f"{name}.engine .*(bytes|was changed).*again"):
                    open_engine(Bundle.open(bundle.path), GPU)
        path.write_bytes(whole)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_manifest_is_an_error_or_does_no_harm(cuda, bundle, damage):
    rng = np.random.default_rng(0)
    path = bundle.path / "manifest.json"
    whole = path.read_bytes()
    engines = whole.index(b'"engines"')
    for offset in [*rng.integers(0, len(whole), 100), *rng.integers(engines, len(whole), 100)]:
        flipped = whole[:offset] + bytes([whole[offset] ^ 1 << rng.integers(7)]) + whole[offset + 1 :]
        path.write_bytes(flipped if damage == "flipped" else whole[:offset])
        try:
            open_engine(Bundle.open(bundle.path), GPU)
        except FdcnError as error:
            assert "\n" not in str(error)


def test_an_engine_that_tensorrt_refuses_says_why(cuda, bundle):
    path = bundle.path / bundle.manifest.engines[0].graphs["denoiser"].file
    path.write_bytes(b"not an engine")
    files = bundle.manifest.files | {
        str(path.relative_to(bundle.path)): dataclasses.replace(
            bundle.manifest.files[bundle.manifest.engines[0].graphs["denoiser"].file], bytes=13, sha256=sha256(path)
        )
    }
    trusting = Bundle(bundle.path, dataclasses.replace(bundle.manifest, files=files))
    with pytest.raises(
        FdcnError, match=r"cannot load .*denoiser.engine: Serialization assertion .* failed\.; build it"
    ):
        open_engine(trusting, GPU)
    assert not cuda.streams
    assert not cuda.blocks


@pytest.fixture
def with_library(bundle, monkeypatch):
    """The bundle with an engine that needs a plugin, on a machine that has none, and with a library that is none."""
    monkeypatch.setattr(tensorrt_plugin, "can_compile", lambda: False)
    monkeypatch.setattr(libraries, "find", lambda kind: None)  # another test may have built it
    return with_engine(bundle, [parse_profile(text) for text in PROFILES], library=b"not a library")


def test_a_library_in_the_bundle_is_loaded_only_when_allowed_and_whole(cuda, with_library, monkeypatch):
    target = with_library.manifest.engines[0].target
    path = with_library.path / target.plugin.file
    loaded = []
    monkeypatch.setattr(tensorrt_plugin, "register", lambda flavour, kind, library: loaded.append((kind, library)))
    with pytest.raises(FdcnError, match=r"no library of it .*--allow-bundled-code"):
        open_engine(with_library, GPU)
    assert loaded == []
    opened = open_engine(with_library, GPU, allow_bundled_code=True)
    assert opened.name.endswith("operator from the library in the bundle")
    assert loaded == [("library", path)]
    path.write_bytes(b"not the library")
    with pytest.raises(FdcnError, match=r"libfdcn_tensorrt.so has 15 bytes, the manifest says 13"):
        open_engine(Bundle.open(with_library.path), GPU, allow_bundled_code=True)
    other = dataclasses.replace(target, plugin=dataclasses.replace(target.plugin, sha256="0" * 64))
    path.write_bytes(b"not a library")
    (engine,) = with_library.manifest.engines
    lying = dataclasses.replace(with_library.manifest, engines=[dataclasses.replace(engine, target=other)])
    with pytest.raises(FdcnError, match=r"is not the library that the engine was built with"):
        open_engine(Bundle(with_library.path, lying), GPU, allow_bundled_code=True)
    assert len(loaded) == 1


def test_what_is_no_library_is_refused(cuda, with_library):
    with pytest.raises(FdcnError, match=r"libfdcn_tensorrt.so is not fdcn's plugin library .*build it again"):
        open_engine(with_library, GPU, allow_bundled_code=True)


def test_an_engine_that_lacks_a_graph(cuda, bundle):
    (engine,) = bundle.manifest.engines
    less = dataclasses.replace(engine, graphs={"denoiser": engine.graphs["denoiser"]})
    with pytest.raises(FdcnError, match=r"lacks a graph; build it again: fdcn build"):
        open_engine(Bundle(bundle.path, dataclasses.replace(bundle.manifest, engines=[less])), GPU)


def test_the_simulation_has_no_name_that_tensorrt_lacks():
    trt = pytest.importorskip("tensorrt_rtx_bindings")
    for kind in (simulated_gpu.ICudaEngine, simulated_gpu.IExecutionContext, simulated_gpu.Runtime):
        used = {name for name in vars(kind) if not name.startswith("_")} - {"error"}
        assert used <= set(dir(getattr(trt, kind.__name__)))
    assert {name for name in vars(simulated_gpu.TensorRT) if not name.startswith("_")} <= set(dir(trt))
    cuda = pytest.importorskip("cuda.bindings.runtime")
    assert {name for name in vars(simulated_gpu.Cuda) if name.startswith("cuda")} <= set(dir(cuda))
    driver = pytest.importorskip("cuda.bindings.driver")
    assert {name for name in vars(simulated_gpu.Driver) if name.lower().startswith("cu")} <= set(dir(driver))
