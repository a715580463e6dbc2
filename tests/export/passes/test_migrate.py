"""SmoothQuant's division, folded into a graph: no output changes, and no full-size Mul is left in the denoiser."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from product_graphs import Builder, checked, layers, run

from fdcn.export.passes.migrate import migrate
from fdcn.export.products import activations, products
from fdcn.export.read import read
from fdcn.plugins import spec


def some_factors(model, seed, power_of_two, every=0.8):
    rng, found = np.random.default_rng(seed), {}
    for value, readers in activations(products(model)).items():
        exponents = rng.uniform(-3, 3, readers[0].shape[0])
        if rng.random() < every:
            found[value] = np.exp2(np.rint(exponents) if power_of_two else exponents)
    return found


@settings(max_examples=60, deadline=None)
@given(layers(), st.sampled_from([2, 3]), st.integers(0, 2**32 - 1))
def test_powers_of_two_change_no_bit(found, rank, seed):
    """Every sum has the same terms then, so every output has the same bits, those of values inside included."""
    built = Builder(found, rank, seed)
    model = built.model()
    want = run(model, built.feeds)
    factors = some_factors(model, seed, power_of_two=True)
    assert migrate(model, factors) is bool(factors)
    got = run(model, built.feeds)
    assert [*got] == [*want]
    for name, array in want.items():
        np.testing.assert_array_equal(got[name].view(np.int32), array.view(np.int32))


@settings(max_examples=25, deadline=None)
@given(layers(), st.sampled_from([2, 3]), st.integers(0, 2**32 - 1))
def test_any_factors_change_roundings_alone(found, rank, seed):
    built = Builder(found, rank, seed)
    model = built.model()
    want = run(model, built.feeds)
    migrate(model, some_factors(model, seed, power_of_two=False))
    for name, array in run(model, built.feeds).items():
        largest = float(np.abs(want[name]).max())
        np.testing.assert_allclose(array, want[name], rtol=1e-4, atol=1e-4 * largest + 1e-6, equal_nan=False)


def denoiser(bundle):
    return ir.external_data.load_to_model(read(bundle.graph(bundle.manifest.graphs["denoiser"])))


def feeds_of(bundle, size, seed=0):
    rng, model = np.random.default_rng(seed), bundle.manifest.model
    hidden, blocks, channels = (model.architecture[name] for name in ("hidden", "blocks", "channels"))
    return {
        "latent": rng.standard_normal((2, channels, *size), np.float32),
        "modulation": 0.5 * rng.standard_normal((2, blocks, 6, hidden), np.float32),
        "final": 0.5 * rng.standard_normal((2, 2, hidden), np.float32),
        "s_max": np.full((2, blocks, 2), 2, np.float32),
    }


def test_the_denoiser(shipped_bundle):
    """All its values migrated: the same velocity, and of Muls only those of shifts, a row an image."""
    model, feeds = denoiser(shipped_bundle), feeds_of(shipped_bundle, (20, 28))
    want = run(model, feeds)["velocity"]
    ends = {id(product.read) for product in (products(model)[0], products(model)[-1])}
    factors = {v: f for v, f in some_factors(model, 0, True, every=1).items() if id(v) not in ends}
    count, shapes = len(model.graph), [value.shape for node in model.graph for value in node.outputs]
    there = set(model.graph)
    migrate(model, factors)
    added = [node for node in model.graph if node not in there]
    assert len(added) == 2 * shipped_bundle.manifest.model.blocks
    assert {(node.op_type, node.inputs[0].producer().op_type) for node in added} == {("Mul", "Gather")}
    assert shapes == [value.shape for node in model.graph if node in there for value in node.outputs]
    assert len(model.graph) == count + len(added)
    np.testing.assert_array_equal(run(model, feeds)["velocity"], want)


def test_the_denoiser_with_any_factors(shipped_bundle):
    model, feeds = denoiser(shipped_bundle), feeds_of(shipped_bundle, (12, 16))
    feeds["s_max"][:] = 0  # a tap at a corner may fall on its other side: the operator's sums are the subject
    want = run(model, feeds)["velocity"]
    migrate(model, some_factors(model, 1, False, every=1))
    np.testing.assert_allclose(run(model, feeds)["velocity"], want, rtol=0, atol=1e-5, equal_nan=False)


def test_the_operators_taps_stay(shipped_bundle):
    model = denoiser(shipped_bundle)
    before = {p.name: p.values().copy() for p in products(model)}
    node = next(n for n in model.graph if n.op_type == spec.NAME)
    values = spec.value_width(
        before["blocks.0.projection"].shape[1], *(node.attributes[a].as_int() for a in spec.ATTRIBUTES)
    )
    migrate(model, {node.outputs[0]: np.full(values, 2.0)})
    after = {p.name: p.values() for p in products(model)}
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["blocks.0.projection", "blocks.0.out"]
    np.testing.assert_array_equal(
        after["blocks.0.projection"][:, :values] * 2, before["blocks.0.projection"][:, :values]
    )
    np.testing.assert_array_equal(after["blocks.0.projection"][:, values:], before["blocks.0.projection"][:, values:])
    np.testing.assert_array_equal(after["blocks.0.out"], 2 * before["blocks.0.out"])


def test_weights_are_computed_when_they_are_read(shipped_bundle):
    model = denoiser(shipped_bundle)
    migrate(model, some_factors(model, 0, False, every=1))
    weights = [product.weight.const_value for product in products(model)]
    assert all(isinstance(tensor, ir.LazyTensor) and not tensor.cache for tensor in weights)
    checked(model)


def test_a_value_that_no_product_reads(shipped_bundle):
    model = denoiser(shipped_bundle)
    with pytest.raises(ValueError, match="no product reads"):
        migrate(model, {model.graph.outputs[0]: np.ones(1)})


def test_nothing_to_migrate(shipped_bundle):
    model = denoiser(shipped_bundle)
    before = ir.to_proto(model).graph.node
    assert not migrate(model, {})
    assert ir.to_proto(model).graph.node == before
