"""The wheel for Linux, in an environment with nothing but what fdcn needs to run: no compiler, and an empty cache."""

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fdcn.plugins import libraries

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.large,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a wheel for Linux is built on Linux"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of `make wheel-linux`, or one built now."""
    if named := os.environ.get("FDCN_LINUX_WHEEL"):
        return Path(named).resolve()
    command = [sys.executable, str(ROOT / "scripts" / "linux_wheel.py"), str(tmp_path_factory.mktemp("dist"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


def needed(requirements: list[str], known: set[str]) -> Iterator[metadata.Distribution]:
    """The installed packages that these require here, and what those require in turn."""
    for requirement in map(Requirement, requirements):
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if wanted and name not in known:
            known.add(name)
            distribution = metadata.distribution(name)
            yield distribution
            yield from needed(distribution.requires or [], known)


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its requirements alone, which are those of this one."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        required = re.findall(r"^Requires-Dist: (.*)$", archive.read(about).decode(), re.MULTILINE)
    for distribution in needed(required, set()):
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    # pip itself looks at the tag, at RECORD and at the programs; an fdcn that PYTHONPATH has would be enough for it.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder for the cache, which stays empty."""
    return tmp_path_factory.mktemp("cache")


def run(empty: Path, cache: Path, *words: str) -> str:
    """What a program of the environment says, with no other program to be found."""
    command = [str(empty / "bin" / words[0]), *words[1:]]
    clean = {"PATH": str(empty / "bin"), "FDCN_CACHE": str(cache), "HOME": str(cache.parent)}
    assert shutil.which("c++", path=clean["PATH"]) is None
    done = subprocess.run(command, env=clean, cwd=cache, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(cache.iterdir())
    return done.stdout


def test_its_name_says_what_it_needs(wheel: Path) -> None:
    assert re.fullmatch(r"fdcn-[\d.]+-py3-none-manylinux_2_\d+_\w+\.whl", wheel.name)


def test_it_is_the_pure_wheel_and_the_libraries(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = [Path(name) for name in archive.namelist()]
        added = [name for name in names if name.suffix == ".so"]
        sizes = [archive.getinfo(str(name)).file_size for name in added]
    assert {name.parent.as_posix() for name in added} == {"fdcn/plugins/prebuilt"}
    assert {name.name.partition("-")[0] for name in added} == {"libfdcn_ops", "libfdcn_tensorrt"}
    assert sum(sizes) < 20 * 2**20
    assert sum(name.suffix == ".py" and name.parts[0] == "fdcn" for name in names) > 100


def test_a_bundle_runs_with_the_native_operator(empty, cache, shipped_bundle, tmp_path) -> None:
    code = f"import fdcn; print(fdcn.__file__); print(fdcn.load({str(shipped_bundle.path)!r}).backend.name)"
    file, name = run(empty, cache, "python", "-c", code).splitlines()
    assert Path(file).is_relative_to(empty)
    assert "native operator" in name
    run(empty, cache, "fdcn", "run", str(shipped_bundle.path), "--count", "1", "-o", str(tmp_path / "out.png"))
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_doctor_finds_the_libraries(empty, cache) -> None:
    parts = {part["name"]: part["found"] for part in json.loads(run(empty, cache, "fdcn", "doctor", "--json"))["parts"]}
    for name in ("Native operator", "TensorRT plugin"):
        assert Path(parts[name]).is_relative_to(empty)
    plugin = ctypes.CDLL(parts["TensorRT plugin"])
    assert plugin.fdcn_cuda_version() // 1000 in libraries.CUDA_VERSIONS


def test_what_is_there_is_not_built_again(empty, cache) -> None:
    said = run(empty, cache, "python", "-m", "fdcn.plugins.libraries", "ops")
    assert Path(said.strip()).is_relative_to(empty)
