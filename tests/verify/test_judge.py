"""Files that are no judge: said with what is wrong, before anything is sampled."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fdcn.errors import FdcnError
from fdcn.verify.judge import Classifier, Reference
from fdcn.verify.judged import open_judge

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def write(path, classes=10, features=4, side=8, value=1.0, outputs=("logits", "features"), given="picture"):
    """A classifier that says the same of every picture, `value` times its mean."""
    shapes = {outputs[0]: ["N", classes], outputs[1]: ["N", features]}
    inputs = [helper.make_tensor_value_info(given, TensorProto.FLOAT, ["N", 1, side, side])]
    nodes = [helper.make_node("ReduceMean", [given, "axes"], ["mean"], keepdims=0)]
    nodes += [helper.make_node("Unsqueeze", ["mean", "last"], ["column"])]
    constants = [helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])]
    constants += [helper.make_tensor("last", TensorProto.INT64, [1], [1])]
    for name, (_, width) in shapes.items():
        constants.append(helper.make_tensor(f"w_{name}", TensorProto.FLOAT, [1, width], [value] * width))
        nodes.append(helper.make_node("MatMul", ["column", f"w_{name}"], [name]))
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "judge", inputs, made, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"outputs": ("scores", "features")}, "the outputs logits and features"),
        ({"given": "image"}, "the input picture"),
        ({"side": "H"}, "all but the batch fixed"),
    ],
)
def test_a_graph_that_is_no_classifier(tmp_path, changes, says):
    with pytest.raises(FdcnError, match=says):
        Classifier(write(tmp_path / "judge.onnx", **changes))


@pytest.mark.parametrize("content", [None, b"not ONNX"])
def test_a_file_that_is_no_graph(tmp_path, content):
    if content:
        (tmp_path / "judge.onnx").write_bytes(content)
    with pytest.raises(FdcnError, match=r"cannot load the classifier .*judge.onnx"):
        Classifier(tmp_path / "judge.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_classifier_that_says_what_is_not_finite(tmp_path, value):
    classifier = Classifier(write(tmp_path / "judge.onnx", value=value))
    with pytest.raises(FdcnError, match="gives NaN or infinities"):
        classifier(np.ones((3, 1, 8, 8), np.float32))


@pytest.fixture
def classifier(tmp_path):
    return Classifier(write(tmp_path / "judge.onnx"))


@pytest.fixture
def reference(classifier):
    return Reference(np.zeros(4), np.eye(4), np.zeros((9, 4)), np.ones(10), {"classifier_sha256": classifier.sha256})


def test_a_reference_is_read_as_it_was_written(tmp_path, classifier, reference):
    reference.save(tmp_path / "real.npz")
    found = Reference.load(tmp_path / "real.npz", classifier)
    for name in ("mean", "covariance", "sample", "class_counts"):
        assert np.array_equal(getattr(found, name), getattr(reference, name))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mean": np.full(4, np.nan)}, "mean has NaN or infinities"),
        ({"sample": np.full((9, 4), np.inf)}, "sample has NaN or infinities"),
        ({"covariance": np.eye(5)}, r"covariance is \[5, 5\], not \[4, 4\]"),
        ({"covariance": np.triu(np.ones((4, 4)))}, "covariance is not symmetric"),
        ({"class_counts": np.ones(9)}, r"class_counts is \[9\], not \[10\]"),
        ({"about": {"classifier_sha256": "ab" * 32}}, "another classifier than .*judge.onnx: abababababab…"),
        ({"about": {}}, "is no reference of real pictures"),
    ],
)
def test_a_reference_that_does_not_fit(tmp_path, classifier, reference, changes, says):
    dataclasses.replace(reference, **changes).save(tmp_path / "real.npz")
    with pytest.raises(FdcnError, match=says):
        Reference.load(tmp_path / "real.npz", classifier)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"text"])
def test_a_file_that_is_no_reference(tmp_path, classifier, content):
    if content is not None:
        (tmp_path / "real.npz").write_bytes(content)
    with pytest.raises(FdcnError, match=r"real.npz is no reference of real pictures"):
        Reference.load(tmp_path / "real.npz", classifier)


def test_arrays_of_something_else(tmp_path, classifier):
    np.savez(tmp_path / "real.npz", mean=np.zeros(4), about=np.array(json.dumps([])))
    with pytest.raises(FdcnError, match=r"real.npz is no reference of real pictures"):
        Reference.load(tmp_path / "real.npz", classifier)


def test_a_judge_of_other_classes(tmp_path, shipped_bundle):
    write(tmp_path / "judge.onnx", classes=7)
    with pytest.raises(FdcnError, match=r"judge.onnx knows 7 classes, .* has 10"):
        open_judge(shipped_bundle, tmp_path / "judge.onnx", BENCHMARKS / "reference.npz", 100, tmp_path)


def test_a_judge_and_the_reference_of_another(tmp_path, shipped_bundle):
    write(tmp_path / "judge.onnx")
    with pytest.raises(FdcnError, match="another classifier"):
        open_judge(shipped_bundle, tmp_path / "judge.onnx", BENCHMARKS / "reference.npz", 100, tmp_path)


def test_the_committed_files_are_a_judge(shipped_bundle, tmp_path):
    files = BENCHMARKS / "classifier.onnx", BENCHMARKS / "reference.npz"
    judge = open_judge(shipped_bundle, *files, 100, tmp_path)
    assert (judge.classifier.classes, judge.pictures) == (10, 100)
