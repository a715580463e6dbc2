"""What a search decides, on a network in NumPy; and its recipes of the shipped model, which hold their budget."""

import dataclasses

import numpy as np
import pytest
import toy_network
from sweep_notes import Notes
from toy_network import BUNDLE, NAMES, Toy

from fdcn.bundle import QUANTISED
from fdcn.calib import choices, drift, evaluations, search, smoothing
from fdcn.calib.evaluations import noise, psnr
from fdcn.calib.measure import measure
from fdcn.calib.probe import Probe
from fdcn.calib.progress import Kept
from fdcn.calib.search import Options
from fdcn.calib.switches import Setting
from fdcn.calib.trajectories import Settings
from fdcn.errors import FdcnError
from fdcn.export.passes.quantise import quantise
from fdcn.export.read import read

ENDS = {"embed": "the first", "head": "the last"}
ASKED = Options(solver="euler", steps=2, guidance=2.0, seed=3)


@pytest.fixture
def toy(monkeypatch):
    """Search the network in NumPy: search(options, magnitudes=…) → recipes by precision."""

    def run(magnitudes=(1, 1, 1, 1), notes=None, edit=lambda statistics, rows: None, **options):
        statistics, rows, recorded = toy_network.measured(magnitudes)
        edit(statistics, rows)
        monkeypatch.setattr(search, "Switches", Toy)
        monkeypatch.setattr(smoothing, "ALPHAS", (0.6,))
        monkeypatch.setattr(evaluations, "record", lambda *_: recorded)
        return search.search(statistics, rows, BUNDLE, Options(**({"budget": "10dB"} | options)), notes or Notes())

    return run


def level(recipe):
    """The PSNR that a recipe says it leaves, in dB."""
    return float(recipe.settings["psnr"].removesuffix(" dB"))


def by_hand(recipe, magnitudes=(1, 1, 1, 1)):
    """The PSNR that the network in NumPy has with a recipe."""
    network, noises = Toy(BUNDLE, recipe.precision), []
    for evaluation in toy_network.measured(magnitudes)[2]:
        group, settings = int(np.searchsorted(recipe.until, evaluation.t)), {}
        for activation in recipe.activations:
            migration = None if activation.migration is None else np.float32(activation.migration)
            settings |= dict.fromkeys(activation.products, Setting(activation.ranges[group], migration))
        exact, quantised = (network.run(evaluation.inputs, chosen) for chosen in ({}, settings))
        noises.append(noise(exact, quantised))
    return psnr(float(np.mean(noises)))


def test_a_low_budget_keeps_only_the_ends(toy):
    notes = Notes()
    found = toy(notes=notes)
    assert [*found] == [*QUANTISED]
    for precision, recipe in found.items():
        assert (recipe.precision, recipe.weights_sha256, recipe.until) == (precision, "toy", [1.0])
        assert recipe.kept == ENDS
        assert recipe.quantised() == [*NAMES[1:-1]]
        assert level(recipe) == pytest.approx(by_hand(recipe), abs=0.06)
        worst = max(NAMES[1:-1], key=lambda name, p=precision: notes.rows[f"{p}:{name}"])
        assert recipe.settings["most sensitive, alone"].startswith(f"{worst} ")
    assert set(notes.rows) == {f"{precision}:{name}" for precision in QUANTISED for name in NAMES[1:-1]}


def test_a_budget_keeps_the_most_sensitive(toy):
    notes = Notes()
    loose = toy(notes=notes)
    wanted = level(loose["fp8"]) + 1
    strict = toy(budget=f"{wanted}dB")
    kept = {name: reason for name, reason in strict["fp8"].kept.items() if name not in ENDS}
    assert 1 <= len(kept) < 4
    assert all(reason.startswith("alone it leaves ") for reason in kept.values())
    ranked = sorted(NAMES[1:-1], key=lambda name: -notes.rows[f"fp8:{name}"])
    assert set(kept) == set(ranked[: len(kept)])
    assert by_hand(strict["fp8"]) >= wanted
    fewer = toy(keep=",".join(ranked[: len(kept) - 1]) or "embed")["fp8"]
    assert not by_hand(fewer) >= wanted  # one less would not have done


def test_a_sweep_that_was_interrupted_gives_the_same(toy):
    whole, notes = toy(), Notes(fails_at=6)
    with pytest.raises(KeyboardInterrupt):
        toy(notes=notes)
    assert len(notes.rows) == 6
    notes.fails_at = 7
    with pytest.raises(KeyboardInterrupt):
        toy(notes=notes)
    notes.fails_at = -1
    assert toy(notes=notes) == whole
    assert ("sensitivity, fp8", 4, 4) in notes.heard


def test_lists_and_none(toy):
    notes = Notes()
    for recipe in toy(notes=notes, keep="blocks.*.b").values():
        assert recipe.quantised() == ["blocks.0.a", "blocks.1.a"]
        assert recipe.kept == {**ENDS, "blocks.0.b": "asked for", "blocks.1.b": "asked for"}
        assert [*recipe.kept] == ["embed", "blocks.0.b", "blocks.1.b", "head"]
    assert all(recipe.kept == ENDS for recipe in toy(notes=notes, keep="none").values())
    assert not notes.rows  # nothing is asked of a sweep


def test_ranges_drift_and_groups_of_steps_gain(toy):
    found = toy(magnitudes=(1, 1, 30, 30), keep="none")
    recipe = found["int8"]
    assert recipe.until == [0.375, 1.0]
    assert recipe.settings["step groups"].startswith("2 (2 gain ")
    for activation in recipe.activations:
        assert activation.ranges[1] > 3 * activation.ranges[0]
    assert level(recipe) == pytest.approx(by_hand(recipe, (1, 1, 30, 30)), abs=0.06)
    assert found["fp8"].until == [1.0]  # its steps are relative
    assert all(recipe.until == [1.0] for recipe in toy(keep="none").values())


def test_what_cannot_be(toy):
    with pytest.raises(FdcnError, match=r"--keep blocks\.9 is none of the network's products"):
        toy(keep="blocks.9")
    with pytest.raises(FdcnError, match="'much' is no budget"):
        toy(budget="much")
    with pytest.raises(FdcnError, match="nothing is left to quantise in int8"):
        toy(keep="*")
    with pytest.raises(FdcnError, match=r"int8 with blocks.* alone leaves .* not the 500 dB .* lower --budget"):
        toy(budget="500dB")


def test_a_layer_that_is_always_zero(toy):
    def dead(statistics, rows):
        statistics.activations[2].counts[:] = statistics.activations[2].channels[:] = rows["blocks.0.b"][:] = 0

    for recipe in toy(edit=dead).values():
        assert recipe.kept["blocks.0.b"] == "its input is always zero"
        assert "blocks.0.b" not in recipe.quantised()
    with pytest.raises(FdcnError, match=r"blocks\.0\.b cannot be quantised: its input is always zero; leave --keep"):
        toy(edit=dead, keep="none")


def test_a_budget_of_speed(toy, monkeypatch):
    measured_with = []

    class Timed:
        def __init__(self, bundle, inputs):
            assert set(inputs) == {"latent", "magnitude"}

        def over_float32(self, recipe):
            """The fewer products are quantised, the slower."""
            measured_with.append(recipe.precision)
            return 1 + len(recipe.quantised()) / 4

    monkeypatch.setattr(choices, "Speed", Timed)
    found = toy(budget="1.5x")
    assert [len(recipe.quantised()) for recipe in found.values()] == [2, 2]
    assert found["int8"].settings["speed"] == "1.50x float32"
    assert set(measured_with) == {"int8"}
    with pytest.raises(FdcnError, match=r"int8 is 2\.00x as fast as float32 .*, not the 9x of the budget"):
        toy(budget="9x")


@pytest.mark.large
def test_the_shipped_model(shipped_bundle, tmp_path, monkeypatch):
    """All of it on a real network, with few numbers."""
    monkeypatch.setattr(evaluations, "PICTURES", 1)
    monkeypatch.setattr(smoothing, "ALPHAS", (0.9,))
    monkeypatch.setattr(drift, "MOST_GROUPS", 2)
    settings = Settings(1, ((28, 28),), ASKED.solver, ASKED.steps, ASKED.guidance, ASKED.seed)
    statistics, rows = measure(shipped_bundle, settings, Probe(shipped_bundle), Kept(tmp_path, {}))
    few = {name: array[:, :16] for name, array in rows.arrays().items()}
    options = dataclasses.replace(ASKED, keep="blocks.?.w?,blocks.1*")
    for recipe in search.search(statistics, few, shipped_bundle, options, Notes()).values():
        assert len(recipe.quantised()) == 18
        model = read(shipped_bundle.graph(shipped_bundle.manifest.graphs["denoiser"]))
        assert quantise(model, recipe) == 18
        assert level(recipe) >= 35
        assert ("blocks.*.projection" in recipe.settings["smoothing"]) == (recipe.precision == "int8")
