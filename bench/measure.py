"""One subject at one case: its results are compared with the reference's, and then it is timed."""

import contextlib
import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from fdcn.bench import cases, check, memory, onnx_profile, timing, work
from fdcn.bench.cases import Case
from fdcn.bench.instrumented import Instrumented
from fdcn.bench.layers import Layer, of_layer, shares
from fdcn.bench.report import NETWORK, PICTURE, Row
from fdcn.bench.subjects import ONNXRUNTIME, Subject
from fdcn.bench.timing import Pace
from fdcn.runtime.backends.base import Backend, HasStepGroups
from fdcn.runtime.images import Images, to_image
from fdcn.runtime.pipeline import Pipeline
from fdcn.sizes import format_size

FIRST = slice(0, 1)


@dataclasses.dataclass(frozen=True)
class Checked:
    """What has been found right, and what its times are measured with."""

    case: Case
    graph: str
    feeds: Mapping[str, np.ndarray]
    """The denoiser that makes the evaluation with the most passes, and its inputs."""
    evaluations: int
    """A picture's."""
    network: dict[str, float]
    picture: dict[str, float]
    """How close they came."""


def compare(subject: Subject, pipe: Pipeline, reference: Backend, case: Case) -> Checked:
    """Compare the network and the picture. Raises check.Failed; and FdcnError where the case cannot be run."""
    plan = pipe.plan(case.request)
    widest = max(plan.rows, key=lambda row: len(row.passes))
    if subject.backend == ONNXRUNTIME:
        cases.check_memory(subject.bundle, case, len(widest.passes) * case.batch)
    wanted, got = (cases.feeds(subject.bundle, backend, case, widest) for backend in (reference, pipe.backend))
    network = check.conditioner(wanted, got, subject.precision)
    graph = widest.passes[0].graph
    network |= check.network(reference, pipe.backend, wanted, subject.precision, graph)
    return Checked(case, graph, wanted, len(plan.rows), network, _check_picture(subject, pipe, reference, case))


def _check_picture(subject: Subject, pipe: Pipeline, reference: Backend, case: Case) -> dict[str, float]:
    """Compare the first picture, made in its batch, with the one that NumPy's sampler makes of it alone.

    That runs around the reference's network on a processor. On a GPU it runs around the GPU's, which was compared with
    the reference's: a picture of a large network would take minutes without one.
    """
    network = reference if subject.backend == ONNXRUNTIME else _NetworkAlone(pipe.backend)
    with contextlib.closing(Pipeline(subject.bundle, network)) as alone:
        wanted = alone(**case.arguments(FIRST)).pixels
    return check.picture(wanted, pipe(**case.arguments()).pixels[FIRST], subject.precision)


def network(subject: Subject, backend: Backend, checked: Checked, pace: Pace) -> Row:
    """Time one evaluation, by the device's clock where the backend tells it."""
    graph, feeds, layers = checked.graph, checked.feeds, []
    if on_device := isinstance(backend, Instrumented):
        one = min(backend.timed(graph, feeds, timing.LEAST))
        samples = backend.timed(graph, feeds, pace.calls(one))
        layers = [Layer(of_layer(name), seconds) for name, seconds in backend.profile(graph, feeds)]
    else:
        samples = timing.measure(lambda: backend.denoise(graph, **feeds), pace)
    if subject.backend == ONNXRUNTIME:
        layers = onnx_profile.profile(subject, feeds, graph)
    m, size, rows = subject.bundle.manifest, checked.case.request.size, len(feeds["latent"])
    return Row(
        what=NETWORK,
        **_place(subject, checked),
        steps=1,
        clock="device" if on_device else "wall",
        samples=samples,
        check=checked.network,
        work=work.denoiser(m.model, subject.precision, size, m.pixel_factor, rows),
        layers=shares(layers),
    )


def picture(subject: Subject, pipe: Pipeline, checked: Checked, pace: Pace) -> Row:
    """Time pictures, from their labels to PNG files in memory; and measure the memory that this takes."""
    arguments, encodings = checked.case.arguments(), []

    def make() -> None:
        images = pipe(**arguments)
        encodings.append(timing.stopwatch(lambda: encoded(images)))

    samples = timing.measure(make, pace)
    used = memory.measure(subject, checked.case)
    return Row(
        what=PICTURE,
        **_place(subject, checked),
        steps=checked.evaluations,
        clock="wall",
        samples=samples,
        check=checked.picture,
        encoding=sum(encodings[-len(samples) :]) / sum(samples),
        resident=used.resident,
        device_memory=used.device,
    )


def encoded(images: Images) -> list[bytes]:
    """Each picture as a PNG file."""
    files = []
    for pixels in images.pixels:
        file = io.BytesIO()
        to_image(pixels).save(file, "PNG")
        files.append(file.getvalue())
    return files


def _place(subject: Subject, checked: Checked) -> dict[str, Any]:
    """The fields that both rows have alike."""
    return {
        "engine": subject.name,
        "backend": subject.backend,
        "precision": subject.precision,
        "size": format_size(checked.case.request.size),
        "batch": checked.case.batch,
        "rows": len(checked.feeds["latent"]),
    }


class _NetworkAlone:
    """A backend's graphs without a sampler of its own: whoever asks gets NumPy's."""

    def __init__(self, backend: Backend) -> None:
        self.name, self.conditioning_bytes = backend.name, backend.conditioning_bytes
        self.condition, self.denoise, self.decode = backend.condition, backend.denoise, backend.decode
        self.step_groups = backend.step_groups if isinstance(backend, HasStepGroups) else ()
