"""What ONNX Runtime's integer products are like on this processor, and what is done where they saturate."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from fdcn.runtime import tables
from fdcn.runtime.backends import integer_products, onnxrt

VNNI = {"avx512_vnni", "avx_vnni", "avx512vnni"}


def test_the_product_is_what_onnx_would_write():
    types = {"a": TensorProto.UINT8, "b": TensorProto.INT8, "y": TensorProto.INT32}
    a, b, y = (helper.make_tensor_value_info(name, kind, None) for name, kind in types.items())
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["y"])], "g", [a, b], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    assert model.SerializeToString() == tables.INTEGER_PRODUCT


@given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(0, 9))
def test_products_are_exact(shape, seed):
    if integer_products.saturate():
        pytest.skip("they saturate on this processor")
    (m, k, n), rng = shape, np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (m, k), np.uint8), rng.integers(-127, 128, (k, n), np.int8)
    (y,) = integer_products.session().run(None, {"a": a, "b": b})
    np.testing.assert_array_equal(y, a.astype(int) @ b.astype(int))


def test_processors_with_vnni_do_not_saturate():
    cpu = Path("/proc/cpuinfo")
    flags = set(cpu.read_text().split()) if cpu.exists() else set()
    if not VNNI & flags:
        pytest.skip("this processor has no VNNI, or does not tell")
    assert integer_products.saturate() is False


@pytest.mark.parametrize("saturates", [True, False])
def test_exact_products_are_asked_for_where_others_saturate(monkeypatch, saturates):
    class Saturating:
        """A session of such a processor."""

        def __init__(self, model, providers):
            assert model == tables.INTEGER_PRODUCT

        def run(self, outputs, feeds):
            a, b = (feeds[name].astype(np.int64) for name in "ab")
            pairs = a[:, ::2, None] * b[None, ::2] + a[:, 1::2, None] * b[None, 1::2]
            return [np.clip(pairs, *((-(2**15), 2**15 - 1) if saturates else (None, None))).sum(1).astype(np.int32)]

    class Options:
        """What a session is asked for."""

        def __init__(self):
            self.asked = []

        def add_session_config_entry(self, *entry):
            self.asked.append(entry)

    monkeypatch.setattr(integer_products.ort, "InferenceSession", Saturating)
    monkeypatch.setattr(onnxrt, "saturate", integer_products.saturate.__wrapped__)
    monkeypatch.setattr(onnxrt.ort, "SessionOptions", Options)
    assert onnxrt.session_options(False, "float32").asked == []
    assert onnxrt.session_options(False, "int8").asked == [("session.x64quantprecision", "1")] * saturates
