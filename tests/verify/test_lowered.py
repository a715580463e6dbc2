"""The exported graphs in INT8 and FP8 as contenders: what they run, with one group of steps and with two."""

import shutil

import numpy as np
import pytest
from calibrated import calibrate, ranges, recipe

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.verify import lowered
from fdcn.verify.contenders import open_all, open_contender
from fdcn.verify.ladder import compare

REQUEST = {"labels": [1, 2], "solver": "euler", "steps": 4, "guidance": 2.0}


def test_quantised_graphs_agree_with_the_portable_ones(calibrated_bundle, tmp_path):
    first, others = open_all(
        calibrated_bundle, "onnxruntime-portable", ["onnxruntime-int8", "onnxruntime-fp8"], tmp_path
    )
    assert [(c.side.precision, c.rest) for c in others] == [("int8", "float32"), ("fp8", "float16")]
    assert [c.side.artifact for c in others] == [
        "portable graphs with INT8 products",
        "portable graphs with FP8 products",
    ]
    assert len({c.files for c in (first, *others)}) == 3
    report = compare(calibrated_bundle, first, others, REQUEST, [(28, 28)])
    for compared, conditioner in zip(report.candidates, (0.999999, 0.9999), strict=True):
        assert compared.passed
        velocity = compared.rung("velocity")
        assert velocity.limits == {"cosine": 0.99}
        # It is not the network in half precision that is measured: that is a thousand times closer.
        assert all(1e-6 < 1 - row.values["cosine"] < 1e-2 for row in velocity.rows)
        assert compared.rung("conditioner").limits == {"cosine": conditioner}


def test_graphs_are_as_small_as_their_numbers(calibrated_bundle, tmp_path):
    def weights(bundle):
        graph = bundle.manifest.graphs["denoiser"]
        return sum((bundle.path / name).stat().st_size for name in graph.data)

    written = {}
    for precision in ("int8", "fp8"):
        (tmp_path / precision).mkdir()
        written[precision] = lowered.write(calibrated_bundle, tmp_path / precision, precision, native=False)
    assert 0.2 < weights(written["int8"]) / weights(calibrated_bundle) < 0.35
    assert 0.2 < weights(written["fp8"]) / weights(calibrated_bundle) < 0.35
    assert written["int8"].manifest.engines[0].step_groups == []


def test_a_graph_for_each_group_of_steps(shipped_bundle, tmp_path):

    shutil.copytree(shipped_bundle.path, tmp_path / "model")
    found = ranges(shipped_bundle)
    bundle = calibrate(Bundle.open(tmp_path / "model"), [recipe(shipped_bundle, "int8", found, (0.5, 1.0))])
    opened = open_contender(bundle, "onnxruntime-int8", tmp_path)
    assert [group.until for group in opened.backend.step_groups] == [0.5, 1.0]
    report = compare(bundle, open_contender(bundle, "onnxruntime-portable", tmp_path), [opened], REQUEST, [(28, 28)])
    cosines = [row.values["cosine"] for row in report.candidates[0].rung("velocity").rows]
    assert all(cosine > 0.99 for cosine in cosines)
    # Ranges of the second group are half as large again: its steps are asked another graph.
    graphs = [group.graph for group in opened.backend.step_groups]
    inputs = [np.zeros((1, 1, 28, 28), np.float32), *_conditioning(opened), np.full((1, 11, 2), 6, np.float32)]
    assert not np.array_equal(*(opened.backend.denoise(graph, *inputs) for graph in graphs))


def _conditioning(opened):
    return opened.backend.condition(np.zeros(1, np.float32), np.zeros(1, np.int64))


@pytest.mark.parametrize("name", ["onnxruntime-int8", "onnxruntime-fp8"])
def test_without_a_calibration_the_command_is_said(shipped_bundle, tmp_path, name):
    with pytest.raises(FdcnError, match=r"holds no calibration for .*; run fdcn calibrate"):
        open_contender(shipped_bundle, name, tmp_path)
