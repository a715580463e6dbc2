"""The README's commands, its Python and its C++, as they stand, on the shipped checkpoint."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tables
from cpp_runtime import installed, run
from PIL import Image

import fdcn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("fdcn ")]
QUANTISING = slice(3, 6)
"""Those that calibrate and judge: minutes."""


def give(commands, folder):
    """Give commands in a folder where README's examples are found."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for command in commands:
        run("sh", "-c", command.replace("fdcn", f"{sys.executable} -m fdcn.cli", 1), cwd=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where README's first commands have been given, in order."""
    folder = tmp_path_factory.mktemp("readme")
    give(COMMANDS[: QUANTISING.start], folder)
    return folder


def test_the_commands_are_those_that_are_run(folder):
    verbs = "export build run calibrate build verify build build inspect"
    assert [command.split()[1] for command in COMMANDS] == verbs.split()
    assert (folder / "fdcn.png").exists()


@pytest.mark.large
def test_every_command(tmp_path):
    give(COMMANDS, tmp_path)
    assert (tmp_path / "report.html").exists()


def test_python(folder):
    (code,) = blocks("python")
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=300)
    assert (folder / "out.png").exists()


def test_cpp(folder, tmp_path):
    """The program compiles as it stands, and makes the pictures that Python makes of the same request."""
    (code,) = blocks("cpp")
    (tmp_path / "program.cpp").write_text(code)
    (tmp_path / "fdcn-model").symlink_to(folder / "fdcn-model")
    tree = installed()
    run(
        *("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", tmp_path / "program.cpp", "-o", tmp_path / "program"),
        *("-I", tree / "include", "-L", tree / "lib", f"-Wl,-rpath,{tree / 'lib'}", "-lfdcn"),
    )
    run(tmp_path / "program", cwd=tmp_path)
    images = fdcn.load(folder / "fdcn-model")(labels=[7, 3], size=(56, 28), seeds=[1, 2])
    with Image.open(tmp_path / "out.png") as picture:
        assert json.loads(picture.text["fdcn"]) == images.parameters()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("document", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert (ROOT / document).parent.joinpath(link).exists(), link


def test_tables_are_those_of_the_committed_results():
    """Run `python benchmarks/tables.py` after measuring."""
    for name in tables.DOCUMENTS:
        text = (ROOT / name).read_text("utf-8")
        assert tables.filled(text) == text, name
