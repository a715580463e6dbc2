"""The sampler's kernels that begin and advance a trajectory, run on a CPU, against what NumPy computes."""

import dataclasses
import itertools

import numpy as np
import pytest
from device_memory import STREAM, Memory

from fdcn.runtime.advance import State
from fdcn.runtime.kernels import numbers_of
from fdcn.runtime.noise import normals
from fdcn.runtime.plan import Guidance, SamplerPlan, sampler_plan
from fdcn.runtime.sample import initial_noise
from fdcn.runtime.solvers import SOLVERS

GUIDANCES = {
    "none": Guidance(1.0),
    "all": Guidance(3.5),
    "three": Guidance(4.0, "3"),
    "interval": Guidance(2.5, "all", (0.2, 0.7)),
    "three in an interval": Guidance(2.5, "3", (0.0, 0.5)),
}
SEEDS = (7, 2**64 - 1, 0x123456789ABCDEF0)


def ulps(a, b):
    return np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32).astype(np.int64)).max()


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 5, 7), (1, 1, 1), (1, 1, 3)])
def test_a_trajectory_begins_with_each_images_noise(kernels, memory, shape, passes):
    n, batch = int(np.prod(shape)), len(SEEDS)
    seeds, _ = memory(np.array(SEEDS, np.uint64))
    (base, got), (point, second) = (memory(np.full((batch, *shape), np.nan, np.float32)) for _ in "12")
    latent, copies = memory(np.full((passes, batch, *shape), np.nan, np.float32))
    kernels.begin(0, seeds, base, point, latent, batch, n, passes, STREAM)
    assert ulps(got, initial_noise(SEEDS, shape)) <= 1
    for other in (second, *copies):
        np.testing.assert_array_equal(other, got)


def test_a_trajectory_begins_with_noise_that_is_given(kernels, memory):
    noise, want = memory(np.random.default_rng(0).standard_normal((2, 3, 5, 3), np.float32))
    (base, got), (point, second), (latent, copy) = (memory(np.zeros_like(want)) for _ in "123")
    kernels.begin(noise, 0, base, point, latent, 2, 45, 1, STREAM)
    for array in (got, second, copy):
        np.testing.assert_array_equal(array, want)


def network(point, row, run):
    """Something that depends on all that a network sees, and on each element differently."""
    scale = np.linspace(-1, 1, point.size, dtype=np.float32).reshape(point.shape)
    return np.float32(0.3) * np.roll(point, 1, -1) + scale * (row.t + np.float32(run.conditional))


class Run:
    """A plan's tensors as the kernels see them, and NumPy's state beside them."""

    def __init__(self, kernels, memory, plan, shape, seeds=SEEDS, odd=None):
        """The tensor `odd` lies where no vector may be read."""
        self.kernels, self.plan, self.seeds = kernels, plan, seeds
        self._memory, self._odd, self._elsewhere = memory, odd, Memory(1)
        self.images, self.elements = len(seeds), int(np.prod(shape))
        unfilled = np.full((self.images, *shape), np.nan, np.float32)
        self.state = State(plan, initial_noise(seeds, shape))
        self.base, self.point = self.put("base", self.state.base), self.put("point", self.state.point)
        self.outputs = self.put("outputs", np.full((plan.history, *unfilled.shape), np.nan, np.float32))
        self.predicted = self.put("predicted", unfilled)
        channels = plan.guided_channels
        self.guided = self.elements if channels is None else channels * self.elements // shape[0]

    def put(self, name, content):
        return (self._elsewhere if name == self._odd else self._memory)(content)

    def check(self):
        self._memory.check()
        self._elsewhere.check()

    def draws(self, r):
        row, m = self.plan.rows[r], self.plan.history
        return bool(np.concatenate([row.base[2 + m :], row.point[2 + m :]]).any())

    def advance(self, r, velocity, following, predicted=False):
        """Row r; the network's next input, `following` times."""
        row = self.plan.rows[r]
        latent, copies = self.put("latent", np.full((following, *self.point[1].shape), np.nan, np.float32))
        self.kernels.advance(
            self.put("numbers", numbers_of(row, self.plan.history))[0],
            self.put("velocity", velocity)[0],
            # Where nothing is drawn, nothing is read.
            self.put("seeds", np.array(self.seeds, np.uint64))[0] if self.draws(r) else 0,
            self.base[0],
            self.point[0],
            self.outputs[0],
            latent,
            self.predicted[0] if predicted else 0,
            images=self.images,
            elements=self.elements,
            guided=self.guided,
            history=self.plan.history,
            row=r,
            passes=len(row.passes),
            next_passes=following,
            stream=STREAM,
        )
        return copies

    def numpy_advance(self, r, made):
        shape = made[0].shape[1:]
        return self.state.advance(
            self.plan.rows[r], made, lambda draw: np.stack([normals(s, r + 1, draw, shape) for s in self.seeds])
        )


def compare(run):
    """Take every row on both sides from NumPy's state; what differs is the noise's last bit alone."""
    rows, state = run.plan.rows, run.state
    for r, row in enumerate(rows):
        made = [network(state.point, row, each) for each in row.passes]
        following = len(rows[r + 1].passes) if r + 1 < len(rows) else 0
        copies = run.advance(r, np.concatenate(made), following, predicted=r % 2 == 1)
        before = state.point
        v = run.numpy_advance(r, made)
        same = close if run.draws(r) else np.testing.assert_array_equal
        np.testing.assert_array_equal(run.outputs[1][r % run.plan.history], v)
        same(run.base[1], state.base)
        same(run.point[1], state.point)
        for copy in copies:
            np.testing.assert_array_equal(copy, run.point[1])
        if r % 2:
            np.testing.assert_array_equal(run.predicted[1], row.predicted[0] * before + row.predicted[1] * v)
        run.base[1][...], run.point[1][...] = state.base, state.point
    run.check()


def close(got, want):
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("solver", "guidance"), list(itertools.product(SOLVERS, GUIDANCES)))
def test_a_row_is_what_numpy_computes(kernels, solver, guidance):
    plan = sampler_plan(solver, 5 if solver == "neural" else 6, blocks=2, guidance=GUIDANCES[guidance])
    compare(Run(kernels, Memory(len(solver) % 2), plan, (4, 3, 5)))


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("shape", [(4, 4, 6), (4, 1, 1), (4, 3, 3), (5, 3, 3), (3, 1, 1)])
def test_every_shape(kernels, memory, shape, images):
    plan = sampler_plan("heun-sde", 4, blocks=1, guidance=GUIDANCES["three"])
    compare(Run(kernels, memory, plan, shape, SEEDS[:images]))


@pytest.mark.parametrize("steps", [10, 15])
def test_a_long_history(kernels, memory, steps):
    compare(Run(kernels, memory, sampler_plan("neural", steps, blocks=1), (4, 2, 3)))


@pytest.mark.parametrize("odd", ["velocity", "base", "point", "outputs", "predicted", "latent"])
def test_one_misaligned_tensor(kernels, odd):
    """What moves four floats at once would trap here, as it does on a GPU."""
    compare(Run(kernels, Memory(), sampler_plan("adams2", 4, blocks=1), (4, 2, 2), odd=odd))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("k", range(5))
def test_a_term_without_weight_is_not_read(kernels, memory, k, value):
    """By the base or by the point, whichever has none: (base, point, three outputs)."""
    pattern = np.full(7, 0.5, np.float32)
    pattern[5:] = 0
    row = sampler_plan("adams3", 5, blocks=1).rows[4]
    for only in ("base", "point"):
        without = np.where(np.arange(7) == k, np.float32(0), pattern)
        coefficients = {"base": pattern, "point": pattern} | {only: without}
        plan = SamplerPlan((dataclasses.replace(row, **coefficients),), 3, None)
        run = Run(kernels, memory, plan, (4, 2, 2))
        made = [network(run.state.point, row, each) for each in row.passes]
        terms = [run.base[1], run.point[1], made[1], run.outputs[1][2], run.outputs[1][1]]
        run.outputs[1][1:] = 1
        terms[k][...] = value
        run.advance(0, np.concatenate(made), 0)
        assert np.isfinite(getattr(run, only)[1]).all()
        assert not np.isfinite(getattr(run, "point" if only == "base" else "base")[1]).any()


def test_threads_may_run_in_any_order(kernels, sampler_library):
    plan, made = sampler_plan("heun-sde", 3, blocks=1), []
    for descending in (False, True):
        sampler_library.emulator_descend(descending)
        run = Run(kernels, Memory(), plan, (4, 3, 3))
        velocity = np.concatenate([network(run.state.point, plan.rows[1], each) for each in plan.rows[1].passes])
        run.advance(1, velocity, 2)
        made.append((run.base[1], run.point[1]))
    np.testing.assert_array_equal(*made)


def test_one_rows_numbers_serve_another_guidance(kernels):
    """A recorded launch has addresses alone: other numbers behind them are another guidance."""
    memory = Memory()
    plans = [sampler_plan("euler", 3, blocks=1, guidance=Guidance(scale)) for scale in (2.0, 5.0)]
    made = []
    for plan in plans:
        run = Run(kernels, memory, plan, (4, 2, 2))
        compare(run)
        made.append(run.point[1])
    assert np.abs(made[0] - made[1]).max() > 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_in_its_place(kernels, memory, value):
    run = Run(kernels, memory, sampler_plan("euler", 4, blocks=1, guidance=GUIDANCES["all"]), (4, 3, 3))
    made = [network(run.state.point, run.plan.rows[0], each) for each in run.plan.rows[0].passes]
    made[1][1, 2, 1, 0] = value
    run.advance(0, np.concatenate(made), 2)
    run.numpy_advance(0, made)
    np.testing.assert_array_equal(run.point[1], run.state.point)
    assert np.isfinite(run.point[1]).sum() == run.point[1].size - 1
