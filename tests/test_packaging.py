"""What is in the source distribution and the wheel, and what must not be in the repository."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from cpp_runtime import configure

ROOT = Path(__file__).resolve().parent.parent
NOT_PACKAGED = ("benchmarks", "docs", "examples", "scripts", "tests")
FETCHING = (("scripts", "fetch_headers.py"), ("scripts", "fetching.py"))
CPP = (("CMakeLists.txt",), ("examples", "cpp"), ("runtime", "cpp"), *FETCHING)
"""What the source distribution has besides the package."""


def repository_files() -> list[Path]:
    """Files that are tracked or about to be, relative to the root; no links."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [Path(name) for name in names if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


FILES = repository_files()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository to build in, for setuptools leaves folders behind."""
    folder = tmp_path_factory.mktemp("checkout")
    for file in FILES:
        (folder / file.parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    return folder


def build(checkout: Path, destination: Path, *options: str) -> Path:
    """Build with what is installed, and return the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(destination), *options, str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = destination.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the source distribution, as `python -m build` and `pip install` of the archive make it."""
    return build(checkout, tmp_path_factory.mktemp("dist"))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_runs_anywhere(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    sources = [file for file in FILES if file.suffix == ".py" and file.parts[0] not in NOT_PACKAGED]
    sources = [file for file in sources if file.parts[:2] != ("runtime", "cpp")]  # a step of the C++ build
    data = [file for file in FILES if file.parts[0] == "data" and file.suffix in (".json", ".txt")]
    data += [file for file in FILES if file.parts[:2] in (("plugins", "native"), ("runtime", "native"))]
    data += [file for file in FILES if file.parts[:2] == ("serve", "page") and file.suffix != ".py"]
    packaged = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert packaged == {f"fdcn/{file.as_posix()}" for file in [*sources, *data]}


def test_the_source_distribution_builds_the_cpp_library(wheel: Path, tmp_path: Path) -> None:
    """Every file of it is there, and CMake finds all that it names."""
    (archive,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    cpp = [file for file in FILES if file.parts[:2] in CPP]
    assert len(cpp) > 100
    assert [file for file in cpp if not (folder / file).is_file()] == []
    configure(folder, tmp_path / "build", f"-DFDCN_DEPS={ROOT / 'build' / 'deps'}")


def test_the_wheel_names_its_licence_and_its_program(wheel: Path) -> None:
    files = {name.partition(".dist-info/")[2]: text.decode() for name, text in contents(wheel).items()}
    assert files["licenses/LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "fdcn = fdcn.cli:main" in files["entry_points.txt"]


def test_a_deployment_box_installs_five_packages(wheel: Path) -> None:
    (metadata,) = (text.decode() for name, text in contents(wheel).items() if name.endswith(".dist-info/METADATA"))
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert sorted(required) == ["click", "numpy", "onnxruntime", "pillow", "rich"]


def test_the_repository_builds_the_same_wheel(wheel: Path, checkout: Path, tmp_path: Path) -> None:
    direct = contents(build(checkout, tmp_path, "--wheel"))
    assert direct == contents(wheel)


def test_the_wheel_works_unpacked(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import fdcn.data; print(fdcn.__file__, len(fdcn.data.imagenet_class_names()))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert output.split() == [str(tmp_path / "fdcn" / "__init__.py"), "1000"]


def test_class_names_are_unique() -> None:
    from fdcn.data import imagenet_class_names

    names = imagenet_class_names()
    assert len({name.casefold() for name in names}) == len(names) == 1000
    assert (names[0], names[207], names[388], names[999]) == (
        "tench",
        "golden retriever",
        "giant panda",
        "toilet tissue",
    )
    assert all(name == name.strip() and "," not in name for name in names)


def test_no_file_names_a_path_of_one_machine() -> None:
    home = re.compile(rb"(?<![\w.~*-])/(?:home|root|Users|work)/\w|" + re.escape(str(ROOT).encode()) + rb"\b")
    texts = ((file, (ROOT / file).read_bytes()) for file in FILES)
    found = {file: home.search(text) for file, text in texts if b"\0" not in text}
    assert not {str(file): match.group() for file, match in found.items() if match}


def test_the_repository_is_small() -> None:
    """It travels to machines with an accelerator beside 45 MiB of other parts."""
    assert sum((ROOT / file).stat().st_size for file in FILES) < 15 * 2**20
