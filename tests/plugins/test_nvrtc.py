"""The kernel as NVIDIA's runtime compiler makes it, and what Python gives it; nothing here needs a GPU."""

import ctypes
import dataclasses
import re

import pytest

from fdcn.errors import FdcnError
from fdcn.plugins import embedding, gpu_launch, nvrtc, spec


@pytest.fixture(scope="module")
def compiler():
    found = nvrtc.find()
    if found is None:
        pytest.skip("the kernel was not compiled: no NVRTC with CUDA's headers")
    return found


def test_a_cubin_has_a_kernel_for_each_type_and_is_made_once(compiler):
    path = nvrtc.cubin("sm_86", compiler)
    code, made = path.read_bytes(), path.stat().st_mtime_ns
    assert code.startswith(b"\x7fELF")
    assert all(name.encode() in code for name in nvrtc.ENTRIES.values())
    assert nvrtc.cubin("sm_86", compiler) == path
    assert path.stat().st_mtime_ns == made


def test_ptx_of_one_type(compiler):
    text = nvrtc.ptx("sm_86", compiler, nvrtc.operator(["float16"])).read_text()
    assert ".target sm_86" in text
    assert re.findall(r"\.entry (\w+)", text) == ["fdcn_float16"]
    # Three tensors, six sizes and the output, in the order of gpu_launch._Arguments.
    types = re.findall(r"\.param \.(u64|u32)\b.* fdcn_float16_param_\d", text)
    assert types == ["u64"] * 3 + ["u32"] * 6 + ["u64"]


def test_a_newer_gpu_gets_ptx(compiler):
    older = dataclasses.replace(compiler, architectures=(80, 86))
    assert nvrtc.image("sm_86", older).suffix == ".cubin"
    assert ".target sm_86" in nvrtc.image("sm_120", older).read_text()


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        ("sm_70", "does not compile for sm_70"),
        ("sm_99", "does not compile for sm_99, but for sm_"),
        ("86x", "'86x' is no"),
    ],
)
def test_unknown_architectures_are_refused(compiler, compute, message):
    with pytest.raises(FdcnError, match=message):
        nvrtc.cubin(compute, dataclasses.replace(compiler, architectures=(80, 86)))


def test_a_gpu_older_than_all_is_refused(compiler):
    with pytest.raises(FdcnError, match="the oldest it knows is sm_80"):
        nvrtc.image("sm_75", dataclasses.replace(compiler, architectures=(80, 86)))


def test_what_the_compiler_says_is_told(compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("FDCN_CACHE", str(tmp_path))
    with pytest.raises(FdcnError, match=r"cannot compile entries.cu(.|\n)*cuda_bf16.h"):
        nvrtc.cubin("sm_86", dataclasses.replace(compiler, include=tmp_path))
    assert not list(tmp_path.glob("*.cubin"))


def test_without_a_compiler_the_message_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(nvrtc, "_compilers", lambda: ())
    assert nvrtc.find() is None
    with pytest.raises(FdcnError, match="pip install nvidia-cuda-nvrtc nvidia-cuda-runtime,"):
        nvrtc.get()
    with pytest.raises(FdcnError, match=r"for CUDA 12 was not found.* pip install nvidia-cuda-nvrtc-cu12"):
        nvrtc.get(newest=12)


def test_the_newest_that_a_driver_can_use_is_taken(compiler, monkeypatch):
    known = tuple(dataclasses.replace(compiler, version=version) for version in ((12, 9), (13, 0), (12, 6)))
    monkeypatch.setattr(nvrtc, "_compilers", lambda: known)
    assert nvrtc.get().version == (13, 0)
    assert nvrtc.get(newest=12).version == (12, 9)


def test_a_damaged_library_is_no_compiler(tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libnvrtc.so.12").write_bytes(b"no library")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "cuda_fp16.h").touch()
    monkeypatch.setattr(nvrtc.util, "find_spec", lambda name: None)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert tmp_path / "lib" / "libnvrtc.so.12" not in [found.library for found in nvrtc._compilers.__wrapped__()]


def test_embedded_code_is_for_what_the_compiler_knows(compiler, tmp_path):
    embedding.write(tmp_path, compiler, (70, 86))
    assert "kImages[2]" in (tmp_path / "embedded.h").read_text()
    assert "{{86, false, image_0}, {86, true, image_1}}" in (tmp_path / "embedded.cpp").read_text()
    with pytest.raises(FdcnError, match="compiles for none of sm_70"):
        embedding.write(tmp_path, compiler, (70,))


def test_the_launch_is_as_the_kernel_wants_it():
    constants = dict(re.findall(r"\b(k\w+) = ([^,;]+)", (nvrtc.SOURCES / "kernel.cuh").read_text()))
    tile = int(constants["kTileRows"]), int(constants["kTileColumns"])
    assert tile == (gpu_launch.TILE_ROWS, gpu_launch.TILE_COLUMNS)
    assert eval(constants["kThreads"], {"kTile": tile[0] * tile[1]}) == gpu_launch.THREADS


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ((1, 1, 1, 1, 1, 1), (1, 1, 1)),
        ((2, 16, 24, 6, 64, 9), (6, 4, 6)),
        ((3, 9, 17, 2, 5, 9), (9, 3, 2)),
        ((0, 4, 4, 2, 5, 9), (0, 1, 2)),
    ],
)
def test_grid(sizes, blocks):
    assert gpu_launch.grid(*sizes) == blocks


@pytest.mark.parametrize(
    "sizes",
    [
        (2**31, 1, 1, 1, 1, 1),
        (1, 2**18, 1, 1, 1, 1),
        (1, 1, 1, 2**16, 1, 1),
        (1, 2**17, 2**17, 1, 1, 1),
        (1, 1, 1, 9, 2**23, 1),
    ],
)
def test_a_grid_that_cannot_be_is_refused(sizes):
    with pytest.raises(ValueError, match="too much for a launch"):
        gpu_launch.grid(*sizes)


def test_a_launch_passes_types_sizes_and_addresses(monkeypatch):
    """Against a driver that reads the parameters as CUDA does: through pointers, in the order of entries.cu."""
    launched = []

    def call(function, kernel, *arguments):
        assert function == "cuLaunchKernel"
        *geometry, parameters, extra = arguments
        pointers = (ctypes.c_void_p * 10).from_address(parameters)
        types = [ctypes.c_void_p] * 3 + [ctypes.c_int] * 6 + [ctypes.c_void_p]
        values = [kind.from_address(pointer).value for kind, pointer in zip(types, pointers, strict=True)]
        launched.append((kernel, geometry, values, extra))

    monkeypatch.setattr(gpu_launch, "call", call)
    monkeypatch.setattr(gpu_launch, "_function", lambda dtype: f"kernel of {dtype}")
    launch = gpu_launch.Launch("float16", 3, 9, 17, 2, 5, 9)
    for start in (2**40, 2**41):
        launch(start, start + 1, start + 2, start + 3, 77)
        geometry = [9, 3, 2, gpu_launch.THREADS, 1, 1, 0, 77]
        assert launched.pop() == (
            "kernel of float16",
            geometry,
            [start, start + 1, start + 2, 3, 9, 17, 2, 5, 9, start + 3],
            0,
        )
    gpu_launch.Launch("float32", 0, 9, 17, 2, 5, 9)(1, 2, 3, 4, 5)
    assert not launched


def test_the_contract_s_types_have_kernels():
    assert tuple(nvrtc.ENTRIES) == spec.DTYPES
