"""`fdcn calibrate` as a user runs it, with the real search."""

import dataclasses
import json
import shutil

from PIL import Image

from fdcn.bundle import QUANTISED, Bundle
from fdcn.calib.search import Options
from fdcn.cli import calibrate
from fdcn.export import recipe

QUICK = ("--samples", 1, "--size", "12x12", "--solver", "euler", "--steps", 2, "--method", "percentile")
QUICK += ("--keep", "none")


def test_a_bundle_is_calibrated_once(fdcn, shipped_bundle, tmp_path):
    shutil.copytree(shipped_bundle.path, tmp_path / "fdcn-model")
    done = fdcn("calibrate", *QUICK, "--plot", "ranges.png")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("sampling 1 pictures with ONNX Runtime")
    assert lines[1] == "measured 46 activations at 2 times, on 1 pictures of 12x12"
    assert "  kept embed: the first" in lines
    assert lines[-2] == "wrote ranges.png"
    assert lines[-1].startswith("next: fdcn build --int8, or")
    with Image.open(tmp_path / "ranges.png") as picture:
        assert picture.format == "PNG"
    bundle = Bundle.open(tmp_path / "fdcn-model")
    recipes = bundle.manifest.calibration.recipes
    assert set(recipes) == set(QUANTISED)
    for name, path in recipes.items():
        found = recipe.load(bundle.file(path))
        assert found.precision == name
        assert len(found.quantised()) == 55
        assert list(found.kept) == ["embed", "head"]
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    again = fdcn("calibrate", *QUICK)
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == lines[1].replace("measured", "nothing to do, there are")
    assert again.stdout.splitlines()[1:-1] == lines[2:-2]
    assert json.loads((bundle.path / "manifest.json").read_text()) == manifest


def test_what_cannot_be_is_an_error_in_one_line(fdcn, shipped_bundle):
    done = fdcn("calibrate", shipped_bundle.path, "--budget", "much")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 'much' is no budget")
    assert len(done.stderr.splitlines()) == 1


def test_the_defaults_are_those_of_the_search():
    defaults = {parameter.name: parameter.default for parameter in calibrate.params}
    fields = {field.name: field.default for field in dataclasses.fields(Options)}
    assert {name: defaults[name] for name in ("method", "keep", "budget", "seed")}.items() <= fields.items()
