"""Which kind of work a layer is, and whose time a loop's is."""

import pytest

from fdcn.bench import cases, check, layers, onnx_profile, subjects
from fdcn.bench.layers import Event, Layer
from fdcn.runtime.pipeline import Pipeline


@pytest.mark.parametrize(
    ("name", "operator", "kind"),
    [
        ("node_matmul_3", "MatMul", "GEMM"),
        ("node_multi_scale_dcn", "MultiScaleDCN", "operator"),
        ("MatMul_1", "MatMul", "operator"),  # without a name: the function's
        ("Scan_712", "Scan", "operator"),
        ("Squeeze_token_12", "Squeeze", "layout"),  # made by a fusion
        ("node_mul_329/SimplifiedLayerNormFusion/", "SimplifiedLayerNormalization", "norm"),
        ("node_silu", "QuickGelu", "element-wise"),
        ("node_conv2d", "Conv", "convolution"),
        ("node_x", "Bespoke", "other"),
    ],
)
def test_kinds_of_nodes(name, operator, kind):
    assert layers.of_onnx(name, operator) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("node_multi_scale_dcn_4", "operator"),
        ("node_matmul_12 + node_add_13", "GEMM"),
        ("__myl_MeanAddSqrtDivMul_myl0_7", "norm"),
        ("__myl_FcMulAdd_myl0_3", "GEMM"),
        ("sm80_xmma_gemm_f16f16_f16f32_f32_tn_n", "GEMM"),
        ("PWN(node_silu_3)", "element-wise"),
        ("Reformatting CopyNode for Input Tensor 0 to node_x", "layout"),
        ("{ForeignNode[node_select]}", "layout"),
        ("node_conv2d_1", "convolution"),
        ("something", "other"),
    ],
)
def test_kinds_of_layers(name, kind):
    assert layers.of_layer(name) == kind


def test_shares_add_up_and_keep_an_order():
    found = layers.shares([Layer("layout", 1.0), Layer("GEMM", 2.0), Layer("layout", 1.0), Layer("norm", 0.0)])
    assert list(found.items()) == [("GEMM", 0.5), ("layout", 0.5)]
    assert layers.shares([]) == {}


def test_a_loop_has_the_time_that_its_body_has_not():
    nested = [Event("Scan_1", "Scan", 0, 100), Event("MatMul_1", "MatMul", 10, 30), Event("Add_2", "Add", 40, 40)]
    found = layers.alone([*nested, Event("node_matmul", "MatMul", 100, 50), Event("node_add", "Add", 150, 5)])
    assert [round(layer.seconds * 1e6) for layer in found] == [30, 30, 40, 50, 5]
    assert [layer.kind for layer in found] == ["operator"] * 3 + ["GEMM", "element-wise"]


@pytest.mark.parametrize("native", [False, True])
def test_a_profile_of_the_network(tiny_bundle, native, request):
    if native:
        request.getfixturevalue("native_operator")
    (subject,) = subjects.find(tiny_bundle, "onnxruntime")
    assert subject.native == native
    (case,) = cases.make(tiny_bundle, [(64, 64)], [1], "euler", 2)
    reference = check.open_reference(tiny_bundle)
    pipe = Pipeline(tiny_bundle, reference)
    feeds = cases.feeds(tiny_bundle, reference, case, pipe.plan(case.request).rows[0])
    found = onnx_profile.profile(subject, feeds)
    blocks = tiny_bundle.manifest.model.blocks
    of_operator = [layer for layer in found if layer.kind == "operator"]
    if native:
        assert len(of_operator) == blocks * onnx_profile.PASSES
    else:
        assert len(of_operator) > 10 * blocks * onnx_profile.PASSES
    assert len([layer for layer in found if layer.kind == "GEMM"]) == (5 * blocks + 2) * onnx_profile.PASSES
    assert "other" not in layers.shares(found)
