"""What is measured on real trajectories: against the pictures sampled one by one, and when it is interrupted."""

import dataclasses

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fdcn.calib import measure as module
from fdcn.calib import probe as module_of_probe
from fdcn.calib import progress, trajectories
from fdcn.calib.measure import measure
from fdcn.calib.probe import Probe
from fdcn.calib.progress import Kept
from fdcn.calib.trajectories import Settings, label_of, size_of
from fdcn.errors import FdcnError
from fdcn.runtime.backends import onnxrt
from fdcn.runtime.pipeline import Pipeline

SIZES = ((20, 12), (8, 28))
SETTINGS = Settings(samples=5, sizes=SIZES, solver="heun-exact", steps=2, guidance=3.0, seed=40)
BY_HAND = ["embed", "blocks.0.projection", "blocks.3.w2", "head"]


@pytest.fixture(scope="module")
def probe(shipped_bundle):
    probe = Probe(shipped_bundle)
    yield probe
    probe.close()


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path, {"a": "b"})


def by_hand(bundle, folder):
    """The network with what some products read as outputs: found in the ONNX file by the names of their weights."""
    path = bundle.graph(bundle.manifest.graphs["denoiser"])
    model = onnx.load(path)
    read = {node.input[1]: node.input[0] for node in model.graph.node if node.op_type == "MatMul"}
    names = [read[f"{name}.weight"] for name in BY_HAND]
    for name in names:
        model.graph.output.add(name=name)
    onnx.save(model, folder / "by-hand.onnx")
    return ort.InferenceSession(folder / "by-hand.onnx", onnxrt.session_options(False)), names


class Recorder:
    """A backend that keeps the network's own outputs and some of what its products read."""

    name, conditioning_bytes = "by hand", 4096

    def __init__(self, bundle, folder):
        self.session, self.names = by_hand(bundle, folder)
        self.condition = onnxrt.OnnxRuntime(bundle).condition
        self.read = []

    def denoise(self, graph, latent, modulation, final, s_max):
        feeds = {"latent": latent, "modulation": modulation, "final": final, "s_max": s_max}
        velocity, *values = self.session.run(["velocity", *self.names], feeds)
        self.read.append(dict(zip(BY_HAND, values, strict=True)))
        return velocity

    def decode(self, latent):
        return latent


@pytest.fixture(scope="module")
def recorded(shipped_bundle, tmp_path_factory):
    """For each picture of SETTINGS, sampled by itself: what products read at each evaluation."""
    recorder = Recorder(shipped_bundle, tmp_path_factory.mktemp("by-hand"))
    with Pipeline(shipped_bundle, recorder) as pipe:
        for i in range(SETTINGS.samples):
            label = label_of(i, SETTINGS.samples, shipped_bundle.manifest.model.classes)
            size = SIZES[size_of(i, shipped_bundle.manifest.model.classes, len(SIZES))]
            pipe([label], size=size, solver=SETTINGS.solver, steps=2, guidance=3.0, seeds=[SETTINGS.seed + i])
    evaluations = len(recorder.read) // SETTINGS.samples
    return [recorder.read[i : i + evaluations] for i in range(0, len(recorder.read), evaluations)]


def test_every_product_is_measured(shipped_bundle, probe):
    model = onnx.load(shipped_bundle.graph(shipped_bundle.manifest.graphs["denoiser"]), load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    products = [node.input[1] for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    assert [f"{name}.weight" for names in probe.layers for name in names] == products
    assert probe.layers["blocks.0.w1", "blocks.0.w3"] == shipped_bundle.manifest.model.architecture["hidden"]


def test_without_cudas_libraries_it_is_the_cpu(shipped_bundle, monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: [module_of_probe.CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(module_of_probe.gpu, "first", lambda: "a GPU")
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        assert "on the CPU" in Probe(shipped_bundle).name


def test_statistics_are_those_of_the_pictures_one_by_one(shipped_bundle, probe, kept, recorded):
    statistics, rows = measure(shipped_bundle, SETTINGS, probe, kept)
    with Pipeline(shipped_bundle, probe) as pipe:
        part = trajectories.parts(shipped_bundle.manifest, SETTINGS)[0]
        evaluated = [row.t for row in pipe.plan(part.request).rows]
    assert len(evaluated) == len(recorded[0])
    assert list(statistics.times) == sorted(set(evaluated))
    layers = {layer.name: layer for layer in statistics.activations}
    for name in BY_HAND:
        for time, t in enumerate(statistics.times):
            at = [r for r, other in enumerate(evaluated) if other == t]
            read = [np.abs(picture[r][name]) for picture in recorded for r in at]
            channels = np.max([x.reshape(-1, x.shape[-1]).max(0) for x in read], axis=0)
            # Batches of other sizes round otherwise.
            np.testing.assert_allclose(layers[name].channels[time], channels, rtol=2e-4, equal_nan=False)
            assert layers[name].counts[time].sum() == sum(x.size for x in read)
            _every_row_is_one_of(rows.arrays()[name][time], [picture[at[0]][name] for picture in recorded])


def _every_row_is_one_of(rows, pictures):
    """Picture i of N has its share of the rows, in order, taken of both passes."""
    ends = [len(rows) * i // len(pictures) for i in range(len(pictures) + 1)]
    for picture, start, end in zip(pictures, ends, ends[1:], strict=False):
        candidates = picture.reshape(-1, picture.shape[-1])
        distances = np.abs(rows[start:end, None] - candidates).max(-1)
        assert distances.min(1).max() <= 1e-3
        assert len(set(distances.argmin(1))) > 10


def test_an_interrupted_run_goes_on_and_gives_the_same_bits(shipped_bundle, probe, tmp_path, monkeypatch):
    monkeypatch.setattr(trajectories, "TOKENS_AT_ONCE", 1)  # a part a picture
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    whole = measure(shipped_bundle, SETTINGS, probe, Kept(tmp_path, {"whole": "yes"}))
    asked = []

    def run(interrupt_at):
        def told(what, done, total):
            asked.append(done)
            if done == interrupt_at * total // SETTINGS.samples:
                raise KeyboardInterrupt

        return measure(shipped_bundle, SETTINGS, probe, Kept(tmp_path, {"whole": "no"}, told))

    for interrupt_at in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            run(interrupt_at)
    resumed = run(99)
    total = asked[-1]
    evaluations = range(total // 5)  # of a picture
    every = [i * len(evaluations) + r for i in range(5) for r in evaluations] + [total]
    second, third = total * 2 // 5, total * 3 // 5
    assert asked == [*every[: second + 1], *every[second : third + 1], *every[third:]]
    for a, b in zip(whole, resumed, strict=True):
        for x, y in zip(a.arrays().values(), b.arrays().values(), strict=True):
            assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", "half"])
def test_a_damaged_state_is_begun_anew(tmp_path, content):
    class Numbers:
        def __init__(self, value):
            self.value = np.full(1000, value)

        def arrays(self):
            return {"value": self.value}

    Kept(tmp_path, {"a": "b"}).checkpoint(3, Numbers(7.0), now=True)
    (file,) = tmp_path.rglob("*.npz")
    found = Numbers(0.0)
    assert Kept(tmp_path, {"a": "b"}).restore(found) == 3
    assert (found.value == 7).all()
    file.write_bytes(content if isinstance(content, bytes) else file.read_bytes()[:4000])
    found = Numbers(0.0)
    assert Kept(tmp_path, {"a": "b"}).restore(found) == 0
    assert not found.value.any()


def test_rows_do_not_grow_with_samples(shipped_bundle, probe, kept):
    few = dataclasses.replace(SETTINGS, samples=2, solver="euler", steps=2)
    sizes = []
    for samples in (2, 6):
        found = measure(shipped_bundle, dataclasses.replace(few, samples=samples), probe, kept)
        sizes.append([array.nbytes for each in found for array in each.arrays().values()])
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_what_is_not_finite_is_named(shipped_bundle, probe, kept, monkeypatch, value, kind):
    evaluations = []
    denoise = probe.denoise

    def bad(*arguments):
        velocity = denoise(*arguments)
        evaluations.append(len(velocity))
        if len(evaluations) == 2:  # the second picture's class pass, in two layers
            for name in ("blocks.3.w2", "blocks.2.out"):
                probe.values[name] = probe.values[name].copy()
                probe.values[name][len(velocity) // 2 + 1, -1, ..., 3] = value
        return velocity

    monkeypatch.setattr(probe, "denoise", bad)
    wanted = Settings(4, ((28, 28), (28, 14)), "euler", 4, 2.0, 0)
    monkeypatch.setattr(trajectories, "TOKENS_AT_ONCE", 1000)
    with pytest.raises(FdcnError) as error:
        measure(shipped_bundle, wanted, probe, kept)
    said = str(error.value)
    assert said.startswith(f"{kind} in what blocks.2.out reads at t = 0.25, in picture 2 (Sandal, 28x28); lower")


def test_an_output_that_is_not_finite_is_named(shipped_bundle, probe, kept, monkeypatch):
    denoise = probe.denoise
    monkeypatch.setattr(probe, "denoise", lambda *arguments: denoise(*arguments) * np.float32(1e38) * 10)
    with pytest.raises(FdcnError, match="in the network's output at t = 0, in picture 0"):
        measure(shipped_bundle, Settings(1, ((28, 28),), "euler", 4, 2.0, 0), probe, kept)


def test_too_little_memory_is_an_error(shipped_bundle, probe, kept, monkeypatch):
    monkeypatch.setattr(module.memory, "available_bytes", lambda: 1 << 20)
    with pytest.raises(FdcnError, match=r"measuring 20x12 needs about .* leave that size out"):
        measure(shipped_bundle, SETTINGS, probe, kept)
