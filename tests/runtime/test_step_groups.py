"""Engines with a denoiser for each group of steps: what a run gives is what running each graph by hand gives."""

import dataclasses
import shutil

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from calibrated import calibrate, ranges, recipe
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close
from simulated_engine import GPU, simulated, with_engine

from fdcn.bundle import Bundle, Extent, Profile, StepGroup
from fdcn.errors import FdcnError
from fdcn.export import recipe as recipes
from fdcn.export.engine import build_onnxruntime
from fdcn.export.passes.quantise import quantise
from fdcn.export.quantised_graphs import int8
from fdcn.export.read import read
from fdcn.runtime.backends.onnxrt import OnnxRuntime, engine_key
from fdcn.runtime.backends.trt import open_engine
from fdcn.runtime.noise import normals
from fdcn.runtime.pipeline import Pipeline
from fdcn.runtime.plan import graph_at, sampler_plan

UNTIL = (0.5, 1.0)
GUIDANCE, STEPS, LABELS, SEEDS = 2.5, 4, (3, 7), (11, 12)
"""Of a run by Euler: it evaluates 0, 0.25, 0.5 and 0.75, so that a step lies on the first group's end."""


@pytest.fixture(scope="module")
def grouped(shipped_bundle, tmp_path_factory):
    """The shipped model with an INT8 engine for ONNX Runtime of two step groups. Read only."""
    path = tmp_path_factory.mktemp("grouped") / "model"
    shutil.copytree(shipped_bundle.path, path)
    bundle = calibrate(Bundle.open(path), [recipe(shipped_bundle, "int8", ranges(shipped_bundle), UNTIL)])
    return build_onnxruntime(bundle, native=False, quantise=int8)


@pytest.fixture(scope="module")
def by_hand(grouped, tmp_path_factory):
    """The final latents of a run, by Euler's rule and a session for each group's graph."""
    folder, m = tmp_path_factory.mktemp("by-hand"), grouped.manifest
    found = recipes.load(grouped.file(m.calibration.recipes["int8"]))
    sessions = []
    for group in range(len(UNTIL)):
        model = read(grouped.graph(m.graphs["denoiser"]))
        quantise(model, found, group)
        ir.save(model, folder / f"{group}.onnx", external_data=f"{group}.onnx.data")
        sessions.append(ort.InferenceSession(folder / f"{group}.onnx", providers=["CPUExecutionProvider"]))
    conditioner = ort.InferenceSession(grouped.graph(m.graphs["conditioner"]), providers=["CPUExecutionProvider"])
    x = np.stack([normals(seed, 0, 0, (1, 28, 28)) for seed in SEEDS])
    null = [m.model.classes] * len(LABELS)
    for step in range(STEPS):
        t = step / STEPS
        (session,) = [s for s, low, high in zip(sessions, (-1, *UNTIL), UNTIL, strict=False) if low < t <= high]
        given = {"t": np.float32([t]), "label": np.int64([*null, *LABELS])}
        modulation, final = conditioner.run(["modulation", "final"], given)
        s_max = np.full((4, m.model.blocks, 2), 6, np.float32)
        inputs = {"latent": np.concatenate([x, x]), "modulation": modulation, "final": final, "s_max": s_max}
        (v,) = session.run(["velocity"], inputs)
        x = x + ((1 - GUIDANCE) * v[:2] + GUIDANCE * v[2:]) / STEPS
    return x


def run(bundle, backend):
    with Pipeline(bundle, backend) as pipe:
        return pipe(list(LABELS), seeds=SEEDS, solver="euler", steps=STEPS, guidance=GUIDANCE).latents


def test_onnxruntime_runs_each_group_s_graph(grouped, by_hand):
    (engine,) = grouped.manifest.engines
    assert engine.step_groups == [StepGroup(0.5, "denoiser"), StepGroup(1.0, "denoiser-2")]
    latents = run(grouped, OnnxRuntime(grouped, native=False))
    assert_close(latents, by_hand, 1e-4, 1e-4)
    alone = dataclasses.replace(engine, step_groups=[])
    one = Bundle(grouped.path, dataclasses.replace(grouped.manifest, engines=[alone]))
    assert np.abs(run(one, OnnxRuntime(one, native=False)) - by_hand).max() > 1e-2


@pytest.fixture(scope="module")
def for_gpu(grouped, tmp_path_factory):
    """The same with an engine for a simulated GPU. Read only."""
    path = tmp_path_factory.mktemp("for-gpu") / "model"
    shutil.copytree(grouped.path, path)
    (engine,) = grouped.manifest.engines
    extent = Extent(28, 28, 4)
    return with_engine(Bundle.open(path), [Profile(extent, extent, extent)], other=engine, precision="int8")


def test_a_gpu_runs_each_group_s_graph(for_gpu, by_hand, monkeypatch):
    cuda = simulated(monkeypatch)
    backend = open_engine(for_gpu, GPU)
    assert len(backend.step_groups) == 2
    for _ in range(2):  # the second run is one CUDA graph
        assert_close(run(for_gpu, backend), by_hand, 1e-4, 1e-4)
    backend.close()
    assert not cuda.left()


def test_an_engine_that_lacks_a_group_s_graph(for_gpu, monkeypatch):
    simulated(monkeypatch)
    engine = for_gpu.manifest.engines[-1]
    graphs = {name: graph for name, graph in engine.graphs.items() if name != "denoiser-2"}
    less = dataclasses.replace(for_gpu.manifest, engines=[dataclasses.replace(engine, graphs=graphs)])
    with pytest.raises(FdcnError, match=r"lacks a graph; build it again: fdcn build .* --int8"):
        open_engine(Bundle(for_gpu.path, less), GPU)


def test_the_newest_engine_is_run_whatever_its_precision(grouped, tmp_path):
    shutil.copytree(grouped.path, tmp_path / "model")
    both = build_onnxruntime(Bundle.open(tmp_path / "model"), native=False)
    assert [engine.key for engine in both.manifest.engines] == [engine_key(False, "int8"), engine_key(False)]
    backend = OnnxRuntime(both, native=False)
    assert (backend.step_groups, "optimised graphs" in backend.name) == ([], True)
    newest = both.with_newest(both.manifest.engines[0])
    assert newest.manifest == Bundle.open(both.path).manifest
    assert [engine.precision for engine in newest.manifest.engines] == ["float32", "int8"]
    backend = OnnxRuntime(newest, native=False)
    assert (len(backend.step_groups), "int8 engine's graphs" in backend.name) == (2, True)


ENDS = st.lists(st.integers(1, 99), min_size=0, max_size=3, unique=True).map(lambda ends: [*sorted(ends), 100])


@given(ENDS, st.integers(0, 100), st.sampled_from([-1e-7, 0, 1e-7]))
def test_a_time_is_in_the_first_group_that_reaches_it(ends, t, off):
    groups = [StepGroup(end / 100, f"graph {i}") for i, end in enumerate(ends)]
    wanted = next(i for i, end in enumerate(ends) if t <= end)
    assert graph_at(t / 100 + off, groups) == f"graph {wanted}"


def test_a_plan_names_each_row_s_graph():
    groups = [StepGroup(0.5, "denoiser"), StepGroup(1.0, "denoiser-2")]
    plan = sampler_plan("euler", 4, blocks=1, step_groups=groups)
    names = [{each.graph for each in row.passes} for row in plan.rows]
    assert names == [{"denoiser"}] * 3 + [{"denoiser-2"}]
    assert {each.graph for row in sampler_plan("euler", 4, blocks=1).rows for each in row.passes} == {"denoiser"}
