"""One run of `fdcn bench`: every subject at every case."""

import contextlib
from collections.abc import Callable, Sequence

from fdcn import gpu
from fdcn.bench import check, limits, machine, measure, report
from fdcn.bench.cases import Case
from fdcn.bench.report import Limit, Report, Row
from fdcn.bench.subjects import ONNXRUNTIME, TENSORRT, Subject
from fdcn.bench.timing import Pace
from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline

Progress = Callable[[int, int], None]
PARTS = 3
"""Of a case, as progress counts them: it is compared, then two things are timed."""


def run(
    bundle: Bundle,
    subjects: Sequence[Subject],
    cases: Sequence[Case],
    pace: Pace,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Measure subjects of a bundle, each at each case. Raises FdcnError where one cannot be run at all.

    What does not agree with the reference is among the report's failures, and has no rows.
    """
    rows: list[Row] = []
    failures: list[str] = []
    reference, total = check.open_reference(bundle), PARTS * len(subjects) * len(cases) + 1
    for s, subject in enumerate(subjects):
        backend = subject.open()
        with contextlib.closing(backend), contextlib.closing(Pipeline(subject.bundle, backend)) as pipe:
            for c, case in enumerate(cases):
                before = PARTS * (s * len(cases) + c)
                progress(before, total)
                try:
                    checked = measure.compare(subject, pipe, reference, case)
                except check.Failed as failure:
                    failures.append(f"{subject.name} at {case}: {failure}")
                    continue
                progress(before + 1, total)
                rows.append(measure.network(subject, backend, checked, pace))
                progress(before + 2, total)
                rows.append(measure.picture(subject, pipe, checked, pace))
    progress(total - 1, total)
    found, notes = _limits(subjects)
    progress(total, total)
    model, request = bundle.manifest.model, cases[0].request
    return Report(
        date=report.today(),
        machine=machine.machine(gpu.first() if any(s.backend == TENSORRT for s in subjects) else None),
        versions=machine.versions(),
        model={
            "family": model.family,
            "parameters": model.parameters,
            "architecture": model.architecture,
            "weights_sha256": model.weights_sha256,
        },
        settings={"solver": request.solver, "steps": request.steps, "guidance": request.guidance.scale},
        limits=found,
        rows=rows,
        failures=failures,
        notes=notes,
    )


def _limits(subjects: Sequence[Subject]) -> tuple[list[Limit], list[str]]:
    """The limits of what the subjects ran on, and what is to be said of them."""
    found: list[Limit] = []
    notes: list[str] = []
    if on_cpu := dict.fromkeys(subject.precision for subject in subjects if subject.backend == ONNXRUNTIME):
        found += map(limits.processor, on_cpu)
        notes += limits.notes()
    targets = [engine.target for s in subjects for engine in s.bundle.manifest.engines if s.backend == TENSORRT]
    for flavour, precision in dict.fromkeys((t.flavour, t.precision) for t in targets if t):
        from fdcn.bench import device_limits  # CUDA's bindings may be missing

        try:
            found.append(device_limits.measure(flavour, precision))
        except FdcnError as error:
            notes.append(f"the GPU's limit in {precision} is not known: {error}")
    return found, notes
