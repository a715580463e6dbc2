"""What is not timed."""

import numpy as np
import pytest

from fdcn.bench import cases, check, measure, subjects
from fdcn.bench.timing import Pace
from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline


class Wrong:
    """The reference, whose velocity is changed."""

    def __init__(self, reference, change):
        self._reference, self._change = reference, change
        self.name, self.conditioning_bytes = "wrong", reference.conditioning_bytes
        self.condition, self.decode = reference.condition, reference.decode

    def denoise(self, graph, **feeds):
        v = self._reference.denoise(graph, **feeds)
        self._change(v)
        return v


def feeds(bundle, reference, batch=2):
    (case,) = cases.make(bundle, [(64, 48)], [batch], "euler", 2)
    return case, cases.feeds(bundle, reference, case, Pipeline(bundle, reference).plan(case.request).rows[0])


def negate_last(v):
    v[-1] *= -1


def one_nan(v):
    v[0, 0, 0, 0] = np.nan


@pytest.mark.parametrize("change", [negate_last, one_nan])
def test_a_wrong_velocity_fails(tiny_bundle, change):
    reference = check.open_reference(tiny_bundle)
    _, given = feeds(tiny_bundle, reference)
    assert check.network(reference, reference, given, "float32")["velocity_cosine"] == pytest.approx(1.0)
    with pytest.raises(check.Failed, match="the velocity has cosine"):
        check.network(reference, Wrong(reference, change), given, "float16")


def test_a_velocity_of_another_shape_fails(tiny_bundle):
    reference = check.open_reference(tiny_bundle)
    _, given = feeds(tiny_bundle, reference)
    cut = Wrong(reference, lambda v: None)
    cut.denoise = lambda graph, **feeds: reference.denoise(graph, **feeds)[:, :2]
    with pytest.raises(check.Failed, match="the velocity is"):
        check.network(reference, cut, given, "float32")


def test_wrong_conditioning_fails(tiny_bundle):
    reference = check.open_reference(tiny_bundle)
    _, given = feeds(tiny_bundle, reference)
    assert set(check.conditioner(given, given, "float32")) == {"modulation_cosine", "final_cosine"}
    with pytest.raises(check.Failed, match="the final has cosine"):
        check.conditioner(given, given | {"final": given["final"][::-1]}, "float32")


def test_pictures():
    white = np.full((2, 8, 8, 3), 255, np.uint8)
    assert check.picture(white, white, "float32") == {"picture_psnr": 999.0}
    grey = white.copy()
    grey[1] = 128
    with pytest.raises(check.Failed, match="dB from the reference"):
        check.picture(white, grey, "float16")
    with pytest.raises(check.Failed, match="pictures are"):
        check.picture(white, white[:, :4], "float32")


def test_a_wrong_sampler_fails_though_its_network_is_right(tiny_bundle):
    reference = check.open_reference(tiny_bundle)
    (subject,) = subjects.find(tiny_bundle, "onnxruntime")
    (case,) = cases.make(tiny_bundle, [(64, 48)], [1], "euler", 2)
    pipe = Pipeline(tiny_bundle, reference)
    measure.compare(subject, pipe, reference, case)
    sample = pipe._sampler.sample

    def dark(batch, *told):
        sampled = sample(batch, *told)
        sampled.pixels[...] = 0
        return sampled

    pipe._sampler.sample = dark
    with pytest.raises(check.Failed, match="dB from the reference"):
        measure.compare(subject, pipe, reference, case)


class OnDevice:
    """A backend that says what its device did."""

    def __init__(self, backend):
        self.name, self.conditioning_bytes = backend.name, backend.conditioning_bytes
        self.condition, self.denoise, self.decode = backend.condition, backend.denoise, backend.decode
        self.asked = []

    def timed(self, graph, feeds, repeats):
        self.asked.append(repeats)
        return [0.5] * repeats

    def profile(self, graph, feeds):
        return [("node_matmul", 0.3), ("node_multi_scale_dcn", 0.1)]


def test_a_device_is_timed_by_its_own_clock(tiny_bundle):
    reference = check.open_reference(tiny_bundle)
    subject = subjects.Subject("engine", subjects.TENSORRT, "float16", tiny_bundle)
    (case,) = cases.make(tiny_bundle, [(64, 48)], [2], "euler", 2)
    backend = OnDevice(reference)
    checked = measure.compare(subject, Pipeline(tiny_bundle, backend), reference, case)
    row = measure.network(subject, backend, checked, Pace(2.0))
    assert (row.clock, row.samples, row.rows) == ("device", [0.5] * 4, 4)
    assert row.layers == pytest.approx({"GEMM": 0.75, "operator": 0.25})
    assert backend.asked == [3, 4]


def test_too_large_for_the_memory(tiny_bundle):
    (case,) = cases.make(tiny_bundle, [(1 << 20, 1 << 20)], [1], None, None)
    with pytest.raises(FdcnError, match="choose a smaller --size or --batch"):
        cases.check_memory(tiny_bundle, case, 2)
