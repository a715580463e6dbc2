"""The installed library, as other projects find it: moved elsewhere, shared and static, by CMake and by pkg-config."""

import os
import re
import shlex
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
ONNXRUNTIME = ROOT / "build" / "deps" / "onnxruntime-cpp"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the installed tree: it must not matter where one lies."""
    folder = tmp_path_factory.mktemp("moved") / "my fdcn"
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
    deps = f"-DONNXRUNTIME_ROOT={ONNXRUNTIME}"
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


def pkg_config(folder: Path, *options: str) -> list[str]:
    """What it says of fdcn, whose is the only .pc file that there is."""
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config was not tested: it is not installed")
    only = {**os.environ, "PKG_CONFIG_LIBDIR": str(folder), "PKG_CONFIG_PATH": ""}
    return shlex.split(run("pkg-config", *options, "fdcn", env=only))


def compile_example(pc: Path, program: Path, *options: str) -> None:
    flags = pkg_config(pc, "--cflags", "--libs", *options)
    if "--static" in options:
        flags = [flag.replace("-lfdcn", "-l:libfdcn.a") for flag in flags]
    run("g++", "-std=c++17", EXAMPLE / "generate.cpp", "-o", program, *flags)


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_pkg_config_finds_it(moved: Path, tmp_path: Path, kind: str) -> None:
    pc = moved / "lib" / "pkgconfig"
    assert pkg_config(pc, "--modversion") == [fdcn.__version__]
    compile_example(pc, tmp_path / "generate", *(["--static"] if kind == "static" else []))
    folders = [moved / "lib", ONNXRUNTIME / "lib"] if kind == "shared" else [ONNXRUNTIME / "lib"]
    env = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, folders))}
    assert_generates(tmp_path / "generate", tmp_path, env=env)


def install_script(folder: Path, *options: str) -> str:
    """Configure the library alone, by which its fdcn.pc is written; the script that installs it."""
    configure(ROOT, folder, "-DFDCN_TESTS=OFF", "-DCMAKE_INSTALL_LIBDIR=lib", *options)
    return (folder / "runtime" / "cpp" / "cmake_install.cmake").read_text()


def test_by_default_it_looks_beside_itself(tmp_path: Path) -> None:
    """Staged by DESTDIR, or with a relative prefix, and moved: with ONNX Runtime in its folder a program runs."""
    build = tmp_path / "build"
    install_script(build)
    for path in (*built().glob("libfdcn.*"), built() / "libfdcn_ops.so"):
        shutil.copy2(path, build / "runtime" / "cpp" / path.name, follow_symlinks=False)
    command = ("cmake", "--install", build, "--prefix")
    run(*command, "/usr", env={**environment(), "DESTDIR": str(tmp_path / "staged")})
    run(*command, "relative", cwd=tmp_path)
    staged, moved = tmp_path / "staged" / "usr", tmp_path / "moved"
    (tmp_path / "relative").rename(moved)
    libraries = [{path.relative_to(tree) for path in tree.rglob("*")} for tree in (staged, moved)]
    assert libraries[0] == libraries[1]

    for tree in (staged, moved):
        dynamic = run("readelf", "-d", tree / "lib" / "libfdcn.so")
        (folders,) = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic)
        assert folders.rstrip(":") == "$ORIGIN"  # the build that was copied left room for more
    (moved / "lib" / "libonnxruntime.so.1").symlink_to(ONNXRUNTIME / "lib" / "libonnxruntime.so.1")
    compile_example(moved / "lib" / "pkgconfig", tmp_path / "generate")
    assert_generates(tmp_path / "generate", tmp_path, env={**os.environ, "LD_LIBRARY_PATH": str(moved / "lib")})


def test_packagers_choose_where_it_looks(tmp_path: Path) -> None:
    script = install_script(tmp_path, "-DCMAKE_INSTALL_RPATH=/opt/ours")
    assert set(re.findall(r"NEW_RPATH \S*?([^[\s\"]+)[\]\")]", script)) == {"/opt/ours"}


def test_absolute_folders_in_the_pc_file(tmp_path: Path) -> None:
    (tmp_path / "my ort").symlink_to(ONNXRUNTIME)
    onnxruntime = tmp_path / "my ort" / "lib"
    folders = ["-DCMAKE_INSTALL_LIBDIR=/usr/lib/here", "-DCMAKE_INSTALL_INCLUDEDIR=/usr/include/of ours"]
    install_script(tmp_path / "build", *folders, f"-DONNXRuntime_LIBRARY={onnxruntime / 'libonnxruntime.so'}")
    pc = tmp_path / "build" / "runtime" / "cpp"
    assert pkg_config(pc, "--cflags") == ["-I/usr/include/of ours"]
    assert pkg_config(pc, "--libs") == ["-L/usr/lib/here", "-lfdcn"]
    private = pkg_config(pc, "--libs", "--static")
    assert {f"-L{onnxruntime}", "-lonnxruntime", "-lpng", "-lz", "-lcrypto"} <= set(private)


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
