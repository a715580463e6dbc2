"""Building the native libraries: what is found, what a failure says, and that nothing is built twice."""

import os
import subprocess
import sys

import pytest

from fdcn import gpu
from fdcn.errors import FdcnError
from fdcn.plugins import cuda_compilers, libraries, nvrtc

KINDS = list(libraries.LIBRARIES)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FDCN_CACHE", str(tmp_path / "cache"))
    libraries.find.cache_clear()
    yield tmp_path / "cache"
    libraries.find.cache_clear()


@pytest.fixture
def headers(tmp_path, monkeypatch):
    """A folder that has every header that the libraries need of other projects, all of them empty."""
    folder = tmp_path / "package" / "include"
    folder.mkdir(parents=True)
    for library in libraries.LIBRARIES.values():
        (folder / library.header).touch()
        monkeypatch.setenv(library.root, str(folder.parent))
    return folder


@pytest.fixture
def compiles(monkeypatch):
    """Calls of the compiler, which makes an empty file."""
    calls = []

    def compile(library, options, out):
        calls.append((library.file, options.cuda))
        out.touch()

    monkeypatch.setattr(libraries, "_compile", compile)
    return calls


NVCC = cuda_compilers.Nvcc(libraries.SOURCES, (13, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_library_that_came_with_the_wheel_is_taken_without_a_cache(kind, compiles, tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "PREBUILT", tmp_path)
    monkeypatch.setattr(cuda_compilers, "newest_cuda", lambda: None)
    monkeypatch.setattr(libraries.cache, "folder", lambda: pytest.fail("the cache was asked"))
    newest = max(libraries.CUDA_VERSIONS) if libraries.LIBRARIES[kind].cuda else None
    library = tmp_path / libraries.cache.named(libraries.LIBRARIES[kind].file, libraries._made_from(kind, newest))
    library.touch()
    assert libraries.find(kind) == libraries.build(kind) == library
    assert not compiles


@pytest.mark.parametrize("kind", KINDS)
def test_a_library_of_other_sources_is_not_taken_from_the_wheel(kind, compiles, tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "PREBUILT", tmp_path)
    monkeypatch.setattr(cuda_compilers, "newest_cuda", lambda: None)
    (tmp_path / libraries.cache.named(libraries.LIBRARIES[kind].file, ["older"])).touch()
    assert libraries.find(kind) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_library_is_built_once_and_found_then(kind, compiles, monkeypatch):
    monkeypatch.setattr(cuda_compilers, "choose", lambda newest: NVCC)
    monkeypatch.setattr(cuda_compilers, "newest_cuda", lambda: None)
    assert libraries.find(kind) is None
    path = libraries.build(kind)
    assert libraries.build(kind) == path == libraries.find(kind)
    assert path.name.startswith(libraries.LIBRARIES[kind].file.removesuffix(".so"))
    assert len(compiles) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_other_sources_are_another_library(kind, compiles, monkeypatch, tmp_path):
    monkeypatch.setattr(cuda_compilers, "choose", lambda newest: NVCC)
    monkeypatch.setattr(cuda_compilers, "newest_cuda", lambda: None)
    libraries.build(kind)
    for name in libraries.LIBRARIES[kind].sources:
        (tmp_path / name).write_bytes((libraries.SOURCES / name).read_bytes() + b"\n// other")
    monkeypatch.setattr(libraries, "SOURCES", tmp_path)
    monkeypatch.setattr(libraries, "_made_from", libraries._made_from.__wrapped__)
    libraries.find.cache_clear()
    assert libraries.find(kind) is None


def test_the_library_is_one_that_the_driver_runs(compiles, monkeypatch):
    twelve = cuda_compilers.Nvcc(NVCC.path, (12, 9))
    monkeypatch.setattr(cuda_compilers, "choose", lambda newest: twelve if newest == 12 else NVCC)
    monkeypatch.setattr(cuda_compilers, "newest_cuda", lambda: 13)
    newer = libraries.build("tensorrt")
    assert libraries.find("tensorrt") == newer
    monkeypatch.setattr(cuda_compilers, "newest_cuda", lambda: 12)
    libraries.find.cache_clear()
    assert libraries.find("tensorrt") is None
    older = libraries.build("tensorrt")
    assert libraries.find("tensorrt") == older != newer
    assert [cuda for _, cuda in compiles] == [13, 12]
    assert libraries.build("tensorrt", cuda=13) == newer
    assert len(compiles) == 2


def test_other_architectures_are_another_library(compiles, monkeypatch):
    monkeypatch.setattr(cuda_compilers, "choose", lambda newest: NVCC)
    path = libraries.build("tensorrt", architectures=[86])
    assert path.exists()
    assert libraries.find("tensorrt") is None


@pytest.mark.parametrize("kind", KINDS)
def test_without_headers_the_message_says_where_to_get_them(kind, monkeypatch, tmp_path):
    library = libraries.LIBRARIES[kind]
    monkeypatch.setattr(cuda_compilers, "choose", lambda newest: NVCC)
    monkeypatch.setenv(library.root, str(tmp_path))
    with pytest.raises(FdcnError, match=rf"has no {library.header}, .*set {library.root}"):
        libraries.build(kind)
    monkeypatch.delenv(library.root)
    monkeypatch.setattr(libraries, "DEPS", tmp_path / "build" / "deps")
    monkeypatch.setattr(libraries, "_INCLUDE", ("nowhere",))
    with pytest.raises(FdcnError, match=rf"{library.header} was not found, .*set {library.root}"):
        libraries.build(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_without_cmake_the_message_says_how_to_get_it(kind, headers, monkeypatch):
    monkeypatch.setattr(cuda_compilers, "choose", lambda newest: NVCC)
    monkeypatch.setattr(libraries, "_program", lambda name: None)
    with pytest.raises(FdcnError, match="pip install cmake ninja"):
        libraries.build(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_failing_compiler_says_is_said_once(kind, headers, monkeypatch):
    """The headers are empty, so every compiler has much to complain of."""
    if kind == "tensorrt":
        try:
            compiler = nvrtc.get()
        except FdcnError as error:
            pytest.skip(f"the plugin was not compiled: {error}")
        monkeypatch.setattr(cuda_compilers, "choose", lambda newest: compiler)
    with pytest.raises(FdcnError) as failure:
        libraries.build(kind, architectures=[86])
    message = str(failure.value)
    assert message.startswith(f"building {libraries.LIBRARIES[kind].what} failed: ")
    assert message.count("error") == 1
    assert "\n" not in message


def test_without_a_compiler_for_cuda_the_message_says_how_to_get_one(headers, monkeypatch):
    monkeypatch.setattr(cuda_compilers, "find_nvcc", lambda newest=None: None)
    monkeypatch.setattr(nvrtc, "_compilers", lambda: ())
    with pytest.raises(FdcnError, match=r"no nvcc of CUDA 12 or older was found, .*pip install nvidia-cuda-nvrtc-cu12"):
        libraries.build("tensorrt", cuda=12)


def test_without_nvcc_the_kernel_is_embedded(monkeypatch, tmp_path):
    compiler = nvrtc.Compiler(tmp_path, tmp_path, (12, 9), (86,))
    written = []
    monkeypatch.setattr(libraries.embedding, "write", lambda *arguments: written.append(arguments))
    monkeypatch.setattr(cuda_compilers, "headers", lambda compiler: tmp_path)
    options = libraries.Options((86,), compiler)
    assert options.cmake(tmp_path) == [f"-DEMBEDDED={tmp_path}", f"-DCUDA_INCLUDE={tmp_path}"]
    assert written == [(tmp_path, compiler, (86,))]
    assert options.cuda == 12


def test_nvcc_is_taken_from_where_it_is_named(tmp_path, monkeypatch):
    def nvcc(folder, version):
        path = tmp_path / folder / "bin" / "nvcc"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {version}, V{version}.1'\n")
        path.chmod(0o755)
        return path

    named, on_path = nvcc("named", "12.9"), nvcc("other", "13.0")
    monkeypatch.setattr(cuda_compilers.util, "find_spec", lambda name: None)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "named"))
    monkeypatch.setenv("PATH", str(on_path.parent), prepend=os.pathsep)
    assert cuda_compilers.find_nvcc() == cuda_compilers.Nvcc(named, (12, 9))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nowhere"))
    assert cuda_compilers.find_nvcc() == cuda_compilers.Nvcc(on_path, (13, 0))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("PATH", str(named.parent), prepend=os.pathsep)
    assert cuda_compilers.find_nvcc(newest=12) == cuda_compilers.Nvcc(named, (12, 9))


def test_a_broken_driver_is_no_driver(monkeypatch):
    def broken():
        raise FdcnError("the driver does not work")

    monkeypatch.setattr(gpu, "first", broken)
    assert cuda_compilers.newest_cuda() is None
    monkeypatch.setattr(gpu, "first", lambda: gpu.Gpu("GPU", "sm_86", 1, "12.8", None))
    assert cuda_compilers.newest_cuda() == 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_says_what_is_wrong_in_a_line(kind, tmp_path):
    environment = os.environ | {libraries.LIBRARIES[kind].root: str(tmp_path)}
    command = [sys.executable, "-m", "fdcn.plugins.libraries", kind]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.large
def test_the_plugin_with_every_architecture(monkeypatch):
    """By nvcc, all warnings being errors; and by NVRTC, which is how a machine without nvcc builds it."""
    for choose in (cuda_compilers.choose, lambda newest: nvrtc.get(newest)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cuda_compilers, "choose", choose)
            patch.setenv("FDCN_CACHE", os.environ["FDCN_CACHE"] + choose.__name__)
            libraries.find.cache_clear()
            path = libraries.build("tensorrt")
        assert path.stat().st_size > 500_000
