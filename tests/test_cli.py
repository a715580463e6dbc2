"""The main job through the command line, against FlowDCN's own code."""

import json

import numpy as np
import pytest
from oracles import assert_close
from PIL import Image

SAMPLES = 5e-4
"""What a whole float32 trajectory may differ by from another implementation."""
SOLVERS = {
    # The released configurations end Euler and Heun with a step of 0.04.
    "euler_8": ["euler", "--steps", 8, "--last-step", 0.04],
    "euler_sde_mean_6": ["euler-sde-mean", "--steps", 6, "--last-step", 0.04],
    "heun_5": ["heun", "--steps", 5, "--last-step", 0.04],
    "heun_exact_5": ["heun-exact", "--steps", 5, "--last-step", 0.04],
    "adams2_6": ["adams2", "--steps", 6],
    "adams4_7": ["adams4", "--steps", 7],
    "neural_5": ["neural", "--steps", 5],
    "neural_10": ["neural", "--steps", 10],
}


@pytest.fixture(scope="module")
def built(tiny_bundle, tmp_path_factory):
    """The tiny bundle with graphs optimised ahead of time."""
    import shutil

    from fdcn.bundle import Bundle
    from fdcn.export.engine import build_onnxruntime

    path = tmp_path_factory.mktemp("built") / "tiny"
    shutil.copytree(tiny_bundle.path, path)
    build_onnxruntime(Bundle.open(path))
    return path


def sample(fdcn, tmp_path, bundle, noise, labels, *options, operator="portable"):
    np.save(tmp_path / "noise.npy", noise)
    chosen = [word for label in labels for word in ("--label", int(label))]
    done = fdcn("run", bundle, "--noise", "noise.npy", "--latents", "out.npy", *chosen, *options)
    assert done.returncode == 0, done.stderr
    assert f"{operator} operator" in done.stdout
    return np.load(tmp_path / "out.npy")


@pytest.mark.parametrize("name", SOLVERS)
def test_golden_samples(fdcn, tmp_path, tiny_bundle, golden, name):
    arrays = np.load(golden / "samples.npz")
    got = sample(
        fdcn, tmp_path, tiny_bundle.path, arrays["noise"], arrays["y"], "--guidance", 2.5, "--solver", *SOLVERS[name]
    )
    assert_close(got, arrays[name], SAMPLES, 0)


@pytest.mark.parametrize("name", ["neural_10", "heun_5"])
def test_golden_samples_with_the_native_operator(
    fdcn, tmp_path, tiny_bundle, built, golden, name, native_cache, monkeypatch
):
    monkeypatch.setenv("FDCN_CACHE", str(native_cache))
    arrays = np.load(golden / "samples.npz")
    options = ["--guidance", 2.5, "--solver", *SOLVERS[name]]
    noise, labels = arrays["noise"], arrays["y"]
    # The second was optimised with the portable operator: its portable graphs are taken.
    for bundle in (tiny_bundle.path, built):
        got = sample(fdcn, tmp_path, bundle, noise, labels, *options, operator="native")
        assert_close(got, arrays[name], SAMPLES, 0)
    assert fdcn("build", built).returncode == 0
    got = sample(fdcn, tmp_path, built, noise, labels, *options, operator="native")
    assert_close(got, arrays[name], SAMPLES, 0)
    assert "optimised graphs, native operator" in fdcn("run", built).stdout


def test_golden_samples_are_all_covered(golden):
    assert set(np.load(golden / "samples.npz")) - {"noise", "y", "guidance"} == set(SOLVERS)


def test_golden_s_max_and_optimised_graphs(fdcn, tmp_path, tiny_bundle, built, golden):
    arrays = np.load(golden / "smax_8x48.npz")
    options = ["--guidance", 2.5, "--solver", "euler", "--steps", 4, "--last-step", 0.04]
    for bundle in (tiny_bundle.path, built):
        got = sample(fdcn, tmp_path, bundle, arrays["noise"], arrays["y"], *options)
        assert_close(got, arrays["out"], SAMPLES, 0)
    off = sample(fdcn, tmp_path, built, arrays["noise"], arrays["y"], *options, "--no-s-max-adjust")
    assert np.abs(off - arrays["out"]).max() > 100 * SAMPLES


def test_a_picture_with_everything(fdcn, tmp_path, built):
    done = fdcn(
        "run", built, "--size", "70x41", "--label", 3, "--label", 7, "--count", 2, "--seed", -1, "--solver", "heun-sde",
        "--steps", 3, "--guidance-channels", 3, "--guidance-interval", "0.2:0.9", "--preview-every", 1, "-o", "a.webp",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "optimised graphs" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"a.webp", "a.gif"}
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3


def test_one_picture_has_its_exact_size_and_parameters(fdcn, tmp_path, built):
    for name in ("a.png", "b.png"):
        done = fdcn("run", built, "--size", "35x67", "--label", 3, "--steps", 5, "--seed", 2**64 + 5, "-o", name)
        assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert a.size == (35, 67)
        assert json.loads(a.text["fdcn"])["seeds"] == [5]
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_inspect(fdcn, built):
    table = fdcn("inspect", built)
    assert table.returncode == 0
    for word in ("flowdcn", "11", "256x256", "neural", "ok"):
        assert word in table.stdout
    manifest = json.loads(fdcn("inspect", built, "--json").stdout)
    assert manifest["model"]["architecture"]["groups"] == 4


def test_build_says_that_half_precision_needs_a_gpu(fdcn, tmp_path, tiny_bundle):
    import shutil

    shutil.copytree(tiny_bundle.path, tmp_path / "fdcn-model")
    done = fdcn("build", "--fp16")
    assert done.returncode == 0, done.stderr
    assert "GPU" in done.stdout
    assert len(json.loads(fdcn("inspect", "--json").stdout)["engines"]) == 1
    assert fdcn("build").returncode == 0
    assert len(json.loads(fdcn("inspect", "--json").stdout)["engines"]) == 1


def test_a_device_is_a_gpu(fdcn, tiny_bundle, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # whatever this machine has
    for options, says in (
        (["--device", 1], "there is no GPU 1: this machine has no NVIDIA GPU"),
        (["--device", 0, "--backend", "onnxruntime"], "runs on the CPU, not on GPU 0"),
        (["--device", 1, "--build-if-missing"], "CUDA_VISIBLE_DEVICES=1"),
    ):
        done = fdcn("run", tiny_bundle.path, *options)
        assert done.returncode
        assert len(done.stderr.splitlines()) == 1
        assert says in done.stderr
