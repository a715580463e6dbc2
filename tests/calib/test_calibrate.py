"""What `fdcn calibrate` leaves in a bundle, and when it has nothing to do; the search is a stub here."""

import copy
import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from fdcn.bundle import MANIFEST, QUANTISED, Bundle
from fdcn.calib import calibrate as module
from fdcn.calib import plot, progress
from fdcn.calib.calibrate import calibrate, describe, standing
from fdcn.calib.progress import PREFIX, Stages
from fdcn.calib.search import Options
from fdcn.calib.statistics import Statistics
from fdcn.calib.trajectories import Settings
from fdcn.errors import FdcnError
from fdcn.export import recipe

SETTINGS = Settings(samples=2, sizes=((12, 12), (16, 8)), solver="euler", steps=2, guidance=2.0, seed=7)


@pytest.fixture
def bundle(shipped_bundle, tmp_path):
    return Bundle.open(shutil.copytree(shipped_bundle.path, tmp_path / "bundle"))


class Search:
    """Stands for the search: keeps what each call was given."""

    def __init__(self):
        self.calls, self.interrupted = [], False

    def __call__(self, statistics, rows, bundle, options, kept):
        self.calls.append((statistics, rows, dict(kept.rows)))
        kept.rows["swept"] = len(self.calls)
        kept.save()
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        largest = [recipe.Activation(list(a.products), [float(a.largest.max())]) for a in statistics.activations[1:]]
        weights = bundle.manifest.model.weights_sha256
        return {
            p: recipe.Recipe(p, weights, [1.0], largest, {"embed": "the first"}, {"psnr": "50 dB"}) for p in QUANTISED
        }


@pytest.fixture
def searched(monkeypatch):
    search = Search()
    monkeypatch.setattr(module, "search", search)
    return search


@pytest.fixture(scope="module")
def once(shipped_bundle, tmp_path_factory):
    """A bundle that was calibrated, what `calibrate` gave and said, and its search. Read only."""
    search, said = Search(), []
    bundle = Bundle.open(shutil.copytree(shipped_bundle.path, tmp_path_factory.mktemp("once") / "bundle"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "search", search)
        made = calibrate(bundle, SETTINGS, Options(), say=said.append)
    return made, said, search


@pytest.fixture
def calibrated(once, tmp_path):
    """A copy of it."""
    return Bundle.open(shutil.copytree(once[0].bundle.path, tmp_path / "calibrated"))


def files(bundle):
    return sorted(str(p.relative_to(bundle.path)) for p in bundle.path.rglob("*") if p.is_file())


def test_the_bundle_holds_what_was_found(once):
    made, said, search = once
    assert made.fresh
    assert len(said) == 1
    assert said[0].startswith("sampling 2 pictures with ONNX Runtime")
    opened = Bundle.open(made.bundle.path)
    there = opened.manifest.calibration
    assert (there.samples, there.sizes, there.seed) == (2, [[12, 12], [16, 8]], 7)
    assert (there.solver, there.steps, there.guidance) == ("euler", 2, 2.0)
    assert there.weights_sha256 == opened.manifest.model.weights_sha256
    found = module.statistics.load(opened.file(there.statistics))
    np.testing.assert_array_equal(found.times, np.float32([0, 0.5]))
    ((measured, rows, _),) = search.calls
    for a, b in zip(found.arrays().values(), measured.arrays().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in QUANTISED:
        loaded = recipe.load(opened.file(there.recipes[name]))
        assert loaded.settings == {"psnr": "50 dB", "method": "mse", "keep": "auto", "budget": "45dB"}
        assert loaded.kept == {"embed": "the first"}
    assert set(files(opened)) == {MANIFEST, *opened.manifest.files}
    assert rows["blocks.0.w1"].shape == (2, 256, 96)
    assert all(np.abs(array).max((1, 2)).all() for array in rows.values())


def test_twice_the_same_is_nothing_to_do(once, calibrated, searched):
    before = files(calibrated)
    again = calibrate(calibrated, SETTINGS, Options())
    assert not again.fresh
    assert not searched.calls
    assert files(calibrated) == before
    assert again.recipes == once[0].recipes
    assert describe(again)[0] == "nothing to do, there are 46 activations at 2 times, on 2 pictures of 12x12, 16x8"


@pytest.mark.parametrize(
    ("settings", "options"),
    [({"seed": 8}, {}), ({"steps": 3}, {}), ({}, {"method": "percentile"}), ({}, {"budget": "31dB"})],
)
def test_other_settings_are_something_to_do(calibrated, settings, options):
    assert standing(calibrated, SETTINGS, Options())
    assert standing(calibrated, dataclasses.replace(SETTINGS, **settings), Options(**options)) is None


def test_a_damaged_calibration_is_made_again(calibrated, searched):
    old = calibrated.manifest.calibration
    (calibrated.path / old.recipes["fp8"]).write_text("{}")
    made = calibrate(calibrated, SETTINGS, Options())
    assert made.fresh
    assert not (calibrated.path / old.statistics).exists()


def test_a_calibration_of_other_weights_is_made_again(calibrated):
    manifest = calibrated.manifest
    other = dataclasses.replace(manifest, model=dataclasses.replace(manifest.model, weights_sha256="0" * 64))
    assert standing(Bundle(calibrated.path, other), SETTINGS, Options()) is None


def test_an_interrupted_search_goes_on_without_sampling_again(bundle, searched, monkeypatch):
    searched.interrupted = True
    before = files(bundle)
    with pytest.raises(KeyboardInterrupt):
        calibrate(bundle, SETTINGS, Options())
    left = [name for name in files(bundle) if not name.startswith(PREFIX)]
    assert left == before
    monkeypatch.setattr(module.Probe, "denoise", None)  # it would be called
    made = calibrate(Bundle.open(bundle.path), SETTINGS, Options())
    assert made.fresh
    assert [rows for _, _, rows in searched.calls] == [{}, {"swept": 1}]
    for name, array in searched.calls[0][1].items():
        assert array.tobytes() == searched.calls[1][1][name].tobytes()
    assert not list(bundle.path.glob(f"{PREFIX}*"))


def test_other_settings_do_not_go_on_with_it(bundle, searched):
    searched.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        calibrate(bundle, SETTINGS, Options())
    calibrate(bundle, SETTINGS, Options(keep="none"))
    assert searched.calls[1][2] == {}
    assert not list(bundle.path.glob(f"{PREFIX}*"))


def test_weights_that_change_meanwhile_are_an_error(bundle, searched, monkeypatch):
    manifest = bundle.manifest
    other = dataclasses.replace(manifest, model=dataclasses.replace(manifest.model, weights_sha256="0" * 64))

    def search(*arguments):
        (bundle.path / MANIFEST).write_text(other.to_json(), "utf-8")
        return searched(*arguments)

    monkeypatch.setattr(module, "search", search)
    with pytest.raises(FdcnError, match="other weights while it was measured; run fdcn calibrate again"):
        calibrate(bundle, SETTINGS, Options())
    assert Bundle.open(bundle.path).manifest.calibration is None


def test_what_was_found_is_said(once):
    made = copy.deepcopy(once[0])
    layer = made.statistics.activations[5]
    layer.channels[:] = 1
    layer.channels[1] = 50
    lines = describe(made)
    assert lines[0] == "measured 46 activations at 2 times, on 2 pictures of 12x12, 16x8"
    assert lines[1].endswith(f"{layer.name} most: 50.00x")
    assert lines[2:5] == ["int8: 56 of 57 products", "  psnr: 50 dB", "  kept embed: the first"]


@pytest.mark.parametrize("options", [Options(budget="much"), Options(keep="blocks.0.out,blocks.77.*")])
def test_what_is_asked_for_in_vain_is_said_before_the_work(bundle, searched, monkeypatch, options):
    monkeypatch.setattr(module.Probe, "denoise", None)
    with pytest.raises(FdcnError, match=r"is no(ne of the network's products| budget)"):
        calibrate(bundle, SETTINGS, options)
    assert not list(bundle.path.glob(f"{PREFIX}*"))


def test_the_plot_has_a_line_for_every_layer(once, tmp_path):
    made = once[0]
    plot.save(made.statistics, tmp_path / "range.png")
    with Image.open(tmp_path / "range.png") as picture:
        assert picture.format == "PNG"
    charts = plot.draw(made.statistics).axes
    drawn = {line.get_label(): line for axes in charts for line in axes.get_lines()}
    for layer in made.statistics.activations:
        np.testing.assert_array_equal(drawn[layer.name].get_ydata(), layer.largest)
    titles = [axes.get_title() for axes in charts if axes.get_title()]
    assert titles == ["embed", "blocks.*.projection", "blocks.*.out", "blocks.*.w1, blocks.*.w3", "blocks.*.w2", "head"]


def test_stages_show_one_bar_at_a_time():
    log = []

    class Bar:
        def __init__(self, what):
            self.what = what

        def __enter__(self):
            log.append(f"open {self.what}")
            return lambda done, total: log.append(f"{done} of {total}")

        def __exit__(self, *exception):
            log.append(f"close {self.what}")

    with Stages(Bar) as stages:
        stages("a", 0, 2)
        stages("a", 2, 2)
        stages("b", 0, 1)
        stages.end()
        stages("b", 1, 1)
    assert log == [
        "open a",
        "0 of 2",
        "2 of 2",
        "close a",
        *["open b", "0 of 1", "close b"],
        *["open b", "1 of 1", "close b"],
    ]


def test_the_state_is_written_once_in_a_while(tmp_path, monkeypatch):
    numbers = Statistics.empty(np.zeros(1, np.float32), {("a",): 1}, {})
    kept = progress.Kept(tmp_path, {"a": "b"})
    kept.checkpoint(1, numbers)
    assert not list(tmp_path.rglob("*.npz"))
    kept.checkpoint(1, numbers, now=True)
    assert list(tmp_path.rglob("*.npz"))
