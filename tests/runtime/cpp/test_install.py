"""The installed library, as other projects find it: moved elsewhere, shared and static, by CMake and by pkg-config."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cpp_runtime import ROOT, built, configure, environment, installed, run
from PIL import Image

import fdcn

BUNDLE = ROOT / "runtime" / "cpp" / "tests" / "bundle"
EXAMPLE = ROOT / "examples" / "cpp"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the installed tree: it must not matter where one lies."""
    folder = tmp_path_factory.mktemp("moved") / "fdcn"
    shutil.copytree(installed(), folder, symlinks=True)
    return folder


def test_its_own_tests_pass() -> None:
    run("ctest", "--test-dir", built(), "--output-on-failure")


def assert_generates(program: Path, folder: Path, **options) -> None:
    """The example's picture is the one that Python makes."""
    run(program, BUNDLE, folder / "cpp.png", "Ring", **options)
    fdcn.load(BUNDLE)(labels=["Ring"], seed=1).save(folder / "python.png")
    with Image.open(folder / "cpp.png") as cpp, Image.open(folder / "python.png") as python:
        assert np.array_equal(np.asarray(cpp), np.asarray(python))


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_cmake_finds_it(moved: Path, tmp_path: Path, kind: str) -> None:
    static = "ON" if kind == "static" else "OFF"
    deps = f"-DONNXRUNTIME_ROOT={ROOT / 'build' / 'deps' / 'onnxruntime-cpp'}"
    configure(EXAMPLE, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={moved}", f"-DSTATIC={static}", deps)
    run("cmake", "--build", tmp_path / "build")
    program = tmp_path / "build" / "generate"
    assert ("libfdcn.so.0" in run("readelf", "-d", program)) == (kind == "shared")
    assert_generates(program, tmp_path)


@pytest.mark.parametrize("version", ["0.2", "1.0"])
def test_cmake_refuses_another_version(moved: Path, tmp_path: Path, version: str) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.22)\nproject(p CXX)\nfind_package(fdcn {version} REQUIRED)\n"
    )
    command = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={moved}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode
    assert "version: 0.1.0" in done.stderr


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_pkg_config_finds_it(moved: Path, tmp_path: Path, kind: str) -> None:
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config was not tested: it is not installed")
    path = {**os.environ, "PKG_CONFIG_PATH": str(moved / "lib" / "pkgconfig")}
    assert run("pkg-config", "--modversion", "fdcn", env=path).strip() == fdcn.__version__
    flags = run("pkg-config", "--cflags", "--libs", *(["--static"] if kind == "static" else []), "fdcn", env=path)
    if kind == "static":
        flags = flags.replace("-lfdcn", "-l:libfdcn.a")
    program = tmp_path / "generate"
    run("g++", "-std=c++17", EXAMPLE / "generate.cpp", "-o", program, *flags.split())
    onnxruntime = ROOT / "build" / "deps" / "onnxruntime-cpp" / "lib"
    folders = [moved / "lib", onnxruntime] if kind == "shared" else [onnxruntime]
    assert_generates(program, tmp_path, env={**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, folders))})


def test_all_that_belongs_to_it_is_installed(moved: Path) -> None:
    files = {path.relative_to(moved).as_posix() for path in moved.rglob("*") if not path.is_dir()}
    headers = {f"include/fdcn/{path.name}" for path in (ROOT / "runtime/cpp/include/fdcn").iterdir()}
    assert headers <= files
    assert {"lib/libfdcn.a", "lib/libfdcn.so", "lib/libfdcn.so.0", f"lib/libfdcn.so.{fdcn.__version__}"} <= files
    assert {"lib/libfdcn_ops.so", "lib/pkgconfig/fdcn.pc", "lib/cmake/fdcn/fdcn-config.cmake"} <= files
    texts = [path for path in moved.rglob("*") if path.suffix in (".cmake", ".pc", ".hpp", ".h")]
    assert not [path for path in texts if str(installed()) in path.read_text()]


FETCHING = f"""
cmake_minimum_required(VERSION 3.22)
project(user LANGUAGES CXX)
include(FetchContent)
set(FDCN_ONNXRUNTIME OFF CACHE BOOL "")
FetchContent_Declare(fdcn SOURCE_DIR "{ROOT}")
FetchContent_MakeAvailable(fdcn)
add_executable(generate "{EXAMPLE}/generate.cpp")
target_link_libraries(generate PRIVATE fdcn::fdcn)
"""


def test_a_project_can_fetch_it(tmp_path: Path) -> None:
    """By its sources: neither tests nor installation nor warnings as errors come along."""
    (tmp_path / "CMakeLists.txt").write_text(FETCHING)
    configure(tmp_path, tmp_path / "build")
    cache = (tmp_path / "build" / "CMakeCache.txt").read_text()
    options = dict(re.findall(r"^FDCN_(\w+):BOOL=(\w+)$", cache, re.MULTILINE))
    assert options == {
        "ONNXRUNTIME": "OFF",
        "TENSORRT": "OFF",
        "TESTS": "OFF",
        "FUZZ": "OFF",
        "INSTALL": "OFF",
        "WARNINGS_AS_ERRORS": "OFF",
    }


@pytest.mark.large
def test_a_project_that_fetches_it_builds_without_a_backend(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(FETCHING)
    configure(tmp_path, tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    (library,) = (tmp_path / "build").rglob(f"libfdcn.so.{fdcn.__version__}")
    assert library.stat().st_size < 2e6
    command = [tmp_path / "build" / "generate", BUNDLE, tmp_path / "out.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: " in done.stderr
