"""What libfdcn.so shows to the programs that are linked with it, and its headers to their compilers."""

import re
import subprocess
from pathlib import Path

import pytest
from cpp_runtime import ROOT, installed, run

import fdcn

INCLUDE = ROOT / "runtime" / "cpp" / "include"
CLASSES = ("Cancelled", "Error", "Future", "Images", "Noise", "Pipeline", "Request")


@pytest.fixture(scope="module")
def library() -> Path:
    return installed() / "lib" / "libfdcn.so"


def exported(library: Path) -> list[str]:
    """Names with their versions, as `fdcn::version()@@FDCN_0`."""
    lines = run("nm", "-DC", "--defined-only", "--with-symbol-versions", library).splitlines()
    return [line.split(" ", 2)[2] for line in lines]


def test_every_symbol_has_the_version(library: Path) -> None:
    names = exported(library)
    assert "FDCN_0" in names
    assert all(name.endswith("@@FDCN_0") for name in names if name != "FDCN_0")


def test_the_c_functions_are_those_of_the_header(library: Path) -> None:
    declared = re.findall(r"^FDCN_API [^;]*?\b(fdcn_\w+)\(", (INCLUDE / "fdcn/fdcn.h").read_text(), re.MULTILINE)
    assert len(declared) > 40
    names = [name.partition("@")[0] for name in exported(library)]
    assert sorted(name for name in names if name.startswith("fdcn_")) == sorted(declared)


def test_the_rest_are_the_classes_of_the_header(library: Path) -> None:
    names = [name.partition("@")[0] for name in exported(library)]
    names = [name for name in names if not name.startswith("fdcn_") and name != "FDCN_0"]
    public = re.compile(rf"((vtable|typeinfo|typeinfo name) for )?fdcn::({'|'.join(CLASSES)})(::.*)?|fdcn::version\(\)")
    assert [name for name in names if not public.fullmatch(name)] == []
    hidden = ("fdcn::Images::Data", "fdcn::Future::State", "fdcn::Pipeline::Impl", "fdcn::impl")
    assert [name for name in names if name.startswith(hidden)] == []
    wanted = {"fdcn::Pipeline::run(fdcn::Request const&) const", "fdcn::version()"}
    wanted |= {f"{what} for fdcn::{name}" for name in ("Error", "Cancelled") for what in ("typeinfo", "vtable")}
    assert wanted <= set(names)


def test_it_is_linked_with_few_libraries(library: Path) -> None:
    dynamic = run("readelf", "-d", library)
    assert re.search(r"\(SONAME\).*\[libfdcn\.so\.0\]", dynamic)
    needed = {name.partition(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)}
    system = {"libc", "libm", "libstdc++", "libgcc_s", "ld-linux-x86-64", "libdl", "libpthread", "librt"}
    backends = {"libonnxruntime", "libnvinfer", "libtensorrt_rtx"}
    assert needed - system - backends == {"libcrypto", "libpng16"}


def test_it_is_small(library: Path) -> None:
    """With ONNX Runtime's backend and the operator; the bound is for the library with neither."""
    assert library.stat().st_size < 2e6


@pytest.mark.parametrize("header", [path.name for path in sorted(INCLUDE.glob("fdcn/*"))])
def test_a_header_stands_alone(header: str, tmp_path: Path) -> None:
    """It needs no other project's header, and gives rise to no warning."""
    source = tmp_path / "user.cpp"
    source.write_text(f"#include <fdcn/{header}>\n")
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
    run("g++", *strict, "-fsyntax-only", "-I", INCLUDE, source)
    listed = subprocess.run(
        ["g++", "-std=c++17", "-M", "-I", str(INCLUDE), str(source)], capture_output=True, text=True, check=True
    ).stdout
    files = [Path(word) for word in listed.replace("\\\n", " ").split()[1:]]
    foreign = ("nlohmann", "onnxruntime", "NvInfer", "cuda", "png", "openssl")
    assert not [path for path in files if any(name in str(path) for name in foreign)]


def test_the_version_is_pythons(library: Path) -> None:
    import ctypes

    function = ctypes.CDLL(str(library)).fdcn_version
    function.restype = ctypes.c_char_p
    assert function().decode() == fdcn.__version__
