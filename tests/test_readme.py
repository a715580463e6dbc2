"""The README's commands and its Python, as they stand, on the shipped checkpoint."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("fdcn ")]
QUANTISING = slice(3, 6)
"""Those that calibrate and judge: minutes."""


def run(commands, folder):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        words = command.split("#")[0].replace("fdcn", f"{sys.executable} -m fdcn.cli", 1)
        done = subprocess.run(
            words, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def test_the_commands_are_those_that_are_run():
    verbs = "export build run calibrate build verify build build inspect"
    assert [command.split()[1] for command in COMMANDS] == verbs.split()


def test_pictures_by_commands_and_by_python(folder):
    run(COMMANDS[: QUANTISING.start], folder)
    (code,) = blocks("python")
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=300)
    assert (folder / "fdcn.png").exists()
    assert (folder / "out.png").exists()


@pytest.mark.large
def test_every_command(folder):
    run(COMMANDS, folder)
    assert (folder / "report.html").exists()


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
