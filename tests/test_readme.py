"""The README's commands, its Python and its C++, as they stand, on the shipped checkpoint."""

import contextlib
import http.client
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import tables
from cpp_runtime import installed, run
from PIL import Image

import fdcn
from fdcn.cli import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("fdcn ")]
(SERVE,) = (command for command in COMMANDS if command.startswith("fdcn serve"))
COMMANDS.remove(SERVE)
SOON = 120
"""Seconds after which something is stuck."""
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


@contextlib.contextmanager
def served(folder):
    """README's server, on a port that is free, once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fdcn.cli", *shlex.split(SERVE, comments=True)[1:], "--port", str(port)]
    with subprocess.Popen(command, cwd=folder) as server:
        try:
            until = time.monotonic() + SOON
            while not answers(port):
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            yield port
            server.send_signal(signal.SIGTERM)
            assert server.wait(SOON) == 0
        finally:
            server.kill()


def answers(port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False


def test_serve(folder):
    """OpenAI's client gets the picture that the pipeline makes of the same request."""
    _, code = blocks("python")
    assert "127.0.0.1:8000" in code
    assert "127.0.0.1:8000" in SERVE
    with served(folder) as port:
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=SOON)
    images = fdcn.load(folder / "fdcn-model")(labels=["Sneaker"], size=(56, 28), seed=7)
    with Image.open(folder / "sneaker.png") as picture:
        assert json.loads(picture.text["fdcn"]) == images.parameters()


def documented():
    """Commands of the README and of docs/serving.md that are too long to be given."""
    texts = [*blocks("text"), (ROOT / "docs" / "serving.md").read_text("utf-8")]
    lines = (line.strip() for text in texts for line in text.splitlines())
    return sorted({line for line in lines if re.match(r"fdcn [a-z]+( [-.\w]|$)", line)})


@pytest.mark.parametrize("command", documented())
def test_other_commands_have_options_that_exist(command):
    _, verb, *words = shlex.split(command.replace("…", "FOLDER"), comments=True)
    try:
        cli.commands[verb].make_context(verb, words)
    except click.BadParameter as error:
        assert "does not exist" in str(error)  # a checkpoint of the reader's


def test_python(folder):
    code, _ = blocks("python")
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
