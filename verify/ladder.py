"""The rungs of a comparison, from the operator alone to the finished picture."""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.sizes import format_size
from fdcn.verify.contenders import Contender
from fdcn.verify.limits import NETWORK, OPERATOR, PICTURE, coarser
from fdcn.verify.metrics import differences
from fdcn.verify.one_operator import Layout, layouts
from fdcn.verify.operator_cases import cases
from fdcn.verify.report import Compared, Report, Row, Rung
from fdcn.verify.run_operator import Inputs
from fdcn.verify.sampled import Progress, Sampled, part, row


def compare(
    bundle: Bundle,
    reference: Contender,
    candidates: Sequence[Contender],
    request: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]] = (),
    progress: Progress = lambda done, total: None,
) -> Report:
    """Compare candidates with a reference on every rung but the distribution.

    `request` has arguments of `Pipeline.__call__`, and each of `sizes` is run with it: by default the training size
    and, where the bundle is not fixed to one, twice its width. Raises FdcnError where the reference cannot run, or a
    candidate does not take a size.
    """
    sizes = list(sizes) or default_sizes(bundle)
    operators = [_operator(bundle, reference, candidate) for candidate in candidates]
    runs = [
        Sampled(bundle, reference, candidates, {**request, "size": size}, part(progress, i, len(sizes)))
        for i, size in enumerate(sizes)
    ]
    compared = [
        Compared(candidate.side, [operator, *_rungs(reference, candidate, i, runs)])
        for i, (candidate, operator) in enumerate(zip(candidates, operators, strict=True))
    ]
    settings = {**runs[0].images.parameters(), "sizes": [format_size(size) for size in sizes]}
    del settings["size"]
    albums = [run.album() for run in runs]
    return Report(bundle.manifest.model.weights_sha256, reference.side, compared, settings, albums)


def default_sizes(bundle: Bundle) -> list[tuple[int, int]]:
    """The training size and twice its width, or the size that the bundle is fixed to."""
    manifest = bundle.manifest
    width, height = manifest.fixed_size or manifest.train_size
    return [(width, height)] if manifest.fixed_size else [(width, height), (2 * width, height)]


def _rungs(reference: Contender, candidate: Contender, index: int, runs: Sequence[Sampled]) -> list[Rung]:
    """What was sampled, of one candidate."""
    precision, rest = (
        coarser(reference.side.precision, candidate.side.precision),
        coarser(reference.rest, candidate.rest),
    )
    conditioner, network, picture = NETWORK[rest].named(), NETWORK[precision].named(), PICTURE[precision].named()
    steps = [row for run in runs for row in run.velocity(index)]
    pictures = [row for run in runs for row in run.picture(index)]
    return [
        # It knows no sizes.
        Rung("conditioner", "what goes into the network beside the latent", conditioner, runs[0].conditioner(index)),
        Rung("velocity", "the network on the same latents", network, steps),
        Rung("picture", "each sampled by itself", picture, pictures),
    ]


def _operator(bundle: Bundle, reference: Contender, candidate: Contender) -> Rung:
    """The operator alone, where both can run it alone."""
    rows: list[Row] = []
    precision = coarser(reference.rest, candidate.rest)
    rung = Rung("operator", "MultiScaleDCN alone", OPERATOR[precision].named(), rows)
    for layout in layouts(bundle):
        inputs = cases(layout, precision)
        try:
            wanted, got = (_outputs(side, layout, list(inputs.values())) for side in (reference, candidate))
        except FdcnError as error:
            return dataclasses.replace(rung, rows=[], skipped=str(error))
        for name, a, b in zip(inputs, wanted, got, strict=True):
            found = differences(a[None], b[None], OPERATOR[precision])
            rows.append(row({"layout": str(layout), "case": name}, found))
    return rung


def _outputs(side: Contender, layout: Layout, inputs: Sequence[Inputs]) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        return side.operator(layout, inputs, Path(folder).resolve())
