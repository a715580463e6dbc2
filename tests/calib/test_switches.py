"""A switched network against the graph that `fdcn build` makes, and against the network as it is."""

import contextlib

import numpy as np
import onnx_ir as ir
import pytest
from sweep_notes import Notes

from fdcn.bundle import QUANTISED
from fdcn.calib import evaluations
from fdcn.calib.evaluations import Evaluation, noise, psnr
from fdcn.calib.sensitivity import Sweep
from fdcn.calib.speed import Speed
from fdcn.calib.switches import Setting, Switches
from fdcn.export.passes.quantise import quantise
from fdcn.export.read import read
from fdcn.export.recipe import Activation, Recipe
from fdcn.runtime.backends import onnxrt
from fdcn.runtime.pipeline import Pipeline

LATE = "blocks.10.w2"
"""What follows it does not multiply its rounding errors."""


@pytest.fixture(scope="module")
def recorded(shipped_bundle):
    """Two evaluations of one picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluations, "PICTURES", 1)
        patch.setattr(evaluations, "TIMES", 2)
        return evaluations.record(shipped_bundle, "euler", 3, 2.0, 5)


@pytest.fixture(scope="module", params=QUANTISED)
def switches(request, shipped_bundle):
    with Switches(shipped_bundle, request.param) as opened:
        yield opened, request.param


def test_evaluations_are_a_trajectorys(shipped_bundle, recorded):
    seen = []

    class Seen(onnxrt.OnnxRuntime):
        def denoise(self, graph, latent, modulation, final, s_max):
            seen.append(dict(latent=latent.copy(), modulation=modulation, final=final, s_max=s_max))
            return super().denoise(graph, latent, modulation, final, s_max)

    with Pipeline(shipped_bundle, Seen(shipped_bundle)) as pipe:
        pipe([0], solver="euler", steps=3, guidance=2.0, seed=5)
    assert [evaluation.t for evaluation in recorded] == pytest.approx([0, 2 / 3])
    for evaluation, wanted in zip(recorded, (seen[0], seen[-1]), strict=True):
        assert evaluation.inputs.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_allclose(evaluation.inputs[name], array, rtol=1e-5, atol=1e-6, equal_nan=False)


def test_pictures_take_turns(shipped_bundle):
    found = evaluations.record(shipped_bundle, "euler", 2, 1.0, 5)
    assert [evaluation.t for evaluation in found] == [0, 0.5]
    labels = {evaluation.inputs["latent"].tobytes() for evaluation in found}
    assert len(labels) == 2


def test_all_off_is_the_network(shipped_bundle, recorded, switches):
    opened, _ = switches
    plain = onnxrt.OnnxRuntime(shipped_bundle)
    for evaluation in recorded:
        wanted = plain.denoise("denoiser", **evaluation.inputs)
        assert psnr(noise(wanted, opened.run(evaluation.inputs, {}))) >= 90


def test_one_on_is_the_quantised_graph(shipped_bundle, recorded, switches, tmp_path):
    opened, precision = switches
    migration = np.random.default_rng(0).uniform(0.5, 2, 256).astype(np.float32)
    recipe = Recipe(precision, "", [1.0], [Activation([LATE], [2.5], migration.tolist())], {}, {})
    model = read(shipped_bundle.graph(shipped_bundle.manifest.graphs["denoiser"]))
    assert quantise(model, recipe) == 1
    ir.save(model, tmp_path / "q.onnx", external_data="q.onnx.data")
    options = onnxrt.session_options(False)
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # it has no kernels of FP8
    import onnxruntime as ort

    built = ort.InferenceSession(tmp_path / "q.onnx", options)
    feeds = opened.feeds({LATE: Setting(2.5, migration)})
    for evaluation in recorded:
        (wanted,) = built.run(None, evaluation.inputs)
        found, plain = opened.run(evaluation.inputs, feeds), opened.run(evaluation.inputs, {})
        assert psnr(noise(plain, wanted)) <= 75  # it matters at all
        assert psnr(noise(wanted, found)) >= psnr(noise(plain, wanted)) + 25


def test_a_range_that_is_too_small_hurts(recorded, switches):
    opened, _ = switches
    levels = [Sweep(opened, recorded).noises({LATE: Setting(range_)}) for range_ in (4.0, 0.05)]
    assert np.mean(levels[0]) < np.mean(levels[1]) / 10


def test_the_psnr_is_verifys():
    from fdcn.verify.psnr import psnr as verifys

    rng = np.random.default_rng(0)
    reference, output = rng.standard_normal((2, 3, 4, 5, 6))
    wanted = [10 ** (-verifys(a, b) / 10) for a, b in zip(reference, output, strict=True)]
    np.testing.assert_allclose(noise(reference, output), np.mean(wanted), rtol=1e-9, equal_nan=False)
    assert psnr(1e-4) == pytest.approx(40)
    assert psnr(0.0) == np.inf
    assert np.isnan(psnr(noise(reference, output * np.nan)))


class Linear:
    """Stands for switches: product i adds its number to every output."""

    products = ()

    def __init__(self):
        self.calls = 0

    def feeds(self, settings):
        self.calls += bool(settings)
        return {name: np.float32(setting.range) for name, setting in settings.items()}

    def run(self, inputs, feeds):
        return np.ones((2, 1, 2, 2), np.float32) + sum(feeds.values())


def test_a_sweep_goes_on_where_it_was():
    settings = [{"a": Setting(0.1), "b": Setting(0.2), "c": Setting(0.3)}]
    at = [Evaluation(0.0, {}), Evaluation(0.5, {})]
    whole = Sweep(Linear(), at).alone(settings, [0, 0], "int8", Notes())
    np.testing.assert_allclose([*whole.values()], [0.01, 0.04, 0.09], rtol=1e-5, equal_nan=False)
    notes, linear = Notes(fails_at=2), Linear()
    with contextlib.suppress(KeyboardInterrupt):
        Sweep(linear, at).alone(settings, [0, 0], "int8", notes)
    assert linear.calls == 2
    notes.fails_at = -1
    assert Sweep(linear, at).alone(settings, [0, 0], "int8", notes) == whole
    assert linear.calls == 3
    assert notes.heard[-1] == ("sensitivity, int8", 3, 3)
    Sweep(linear, at).alone(settings, [0, 0], "fp8", notes)
    assert linear.calls == 6  # another precision's rows are others


def test_step_groups_hold_where_they_should():
    at = [Evaluation(t, {}) for t in (0.0, 0.1, 0.9)]
    groups = [{"a": Setting(0.1)}, {"a": Setting(0.3)}]
    found = Sweep(Linear(), at).noise(groups, [0, 0, 1])
    assert found == pytest.approx((0.01 + 0.01 + 0.09) / 3, rel=1e-5)


def test_speed_is_measured(shipped_bundle, recorded):
    recipe = Recipe("int8", "", [1.0], [Activation([LATE], [2.5])], {}, {})
    assert Speed(shipped_bundle, recorded[0].inputs).over_float32(recipe) > 0
