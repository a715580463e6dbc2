"""The operator as a plugin of TensorRT-RTX, which builds engines with no GPU: the C++ library and the one in Python."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fdcn import gpu
from fdcn.errors import FdcnError
from fdcn.plugins import libraries, spec, tensorrt_plugin, tensorrt_python

CASES = Path(__file__).with_name("plugin_cases.py")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C++ plugin for one architecture, from the sources at hand."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FDCN_CACHE", str(tmp_path_factory.mktemp("plugin")))
            return libraries.build("tensorrt", architectures=[86])
    except FdcnError as error:
        pytest.skip(f"the C++ plugin was not tested in TensorRT: {error}")


@pytest.fixture(scope="module", params=["library", "python"])
def cases(request, rtx):
    """What came of every case of plugin_cases.py with one kind of plugin."""
    words = [request.getfixturevalue("library")] if request.param == "library" else []
    return run_cases(request.param, *words)


@functools.cache
def run_cases(*words):
    # Whatever the path to libraries: the link that RTX's parser needs is the product's business.
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run(
        [sys.executable, CASES, *words], capture_output=True, text=True, check=False, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("dtype", "name"), [("float32", "FLOAT"), ("float16", "HALF"), ("bfloat16", "BF16")])
def test_types(cases, dtype, name):
    result = cases["results"][dtype]
    assert result["types"] == [name, "FLOAT", "FLOAT", name]
    assert result["shape"] == [-1, -1, -1, 16]
    assert result["engine"] > 100_000
    assert result["said"] == []


@pytest.mark.parametrize("case", ["K of 1, C of 72", "two profiles", "two architectures"])
def test_engines(cases, case):
    assert cases["results"][case]["engine"] > 100_000
    assert cases["results"][case]["said"] == []


@pytest.mark.parametrize(
    "case", ["groups of 0", "groups missing", "groups a text", "groups a float", "groups a list", "int8"]
)
def test_impossible_nodes_are_not_parsed(cases, case):
    assert not cases["results"][case]["parsed"]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("too narrow", "a projection 72 wide"),
        ("uneven", "a projection 87 wide"),
        ("prior of 8", "prior is not [taps, 2]"),
        ("prior float16", "prior and s_max are not float32"),
        ("s_max of 3", "s_max is not [N, 2]"),
    ],
)
def test_impossible_shapes_and_types_are_not_parsed(cases, case, said, request):
    result = cases["results"][case]
    assert not result["parsed"]
    if "library" in request.node.name:  # what the other kind says, TensorRT prints
        assert any(said in line for line in result["said"])


@pytest.mark.parametrize("case", ["another version", "another namespace"])
def test_nodes_of_another_plugin_find_none(cases, case):
    result = cases["results"][case]
    assert not result["parsed"]
    assert any("Plugin not found" in line for line in result["said"])


def test_one_plugin_a_process(cases):
    assert cases["creators"] == [spec.NAME]
    assert cases["same"]
    assert "already has the" in cases["mixed"]


def test_both_kinds_have_the_same_fields(rtx, library):
    """An engine that one has built is one that the other can run."""
    types = rtx.module.PluginFieldType
    plugin = tensorrt_python.creator(rtx).plugin(2, 9)
    fields = [(field.name, field.type, field.data.tolist()) for field in plugin.get_fields_to_serialize()]
    assert fields == [
        ("groups", types.INT32, [2]),
        ("taps", types.INT32, [9]),
    ]  # test_plugin_library.py has the other's
    assert plugin.timing_cache_id == "groups 2, taps 9"


def test_a_shape_that_comes_is_checked_and_launched(rtx, monkeypatch):
    trt, launched = rtx.module, []

    class Launch:
        def __init__(self, *sizes):
            launched.append(sizes)

        def __call__(self, *addresses):
            launched.append(addresses)

    monkeypatch.setattr(tensorrt_python.gpu_launch, "Launch", Launch)

    def tensors(**change):
        shapes = {"projection": (3, 9, 17, 82), "prior": (9, 2), "s_max": (3, 2)} | change
        described = []
        for name, shape in shapes.items():
            tensor = trt.PluginTensorDesc()
            tensor.dims, tensor.type = trt.Dims(shape), trt.bfloat16 if name == "projection" else trt.float32
            described.append(tensor)
        return described

    plugin = tensorrt_python.creator(rtx).plugin(2, 9).attach_to_context(None)
    plugin.on_shape_change(tensors(), [])
    plugin.enqueue(tensors(), [], [10, 20, 30], [40], 0, 50)
    assert launched == [("bfloat16", 3, 9, 17, 2, 5, 9), (10, 20, 30, 40, 50)]
    wrong = {"projection": (3, 9, 17, 83)}, {"projection": (3, 9, 82)}, {"prior": (8, 2)}, {"s_max": (2, 2)}
    for change in wrong:
        with pytest.raises(ValueError, match=r"projection|prior|s_max"):
            plugin.on_shape_change(tensors(**change), [])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"groups": [2]},
        {"groups": [2], "taps": [0]},
        {"groups": [2], "taps": [9.0]},
        {"groups": [2, 2], "taps": [9]},
        {"groups": [2**20], "taps": [2**20]},
        {"groups": [2**40], "taps": [1]},
    ],
)
def test_impossible_fields_are_refused(fields):
    with pytest.raises(ValueError, match=r"groups|taps"):
        tensorrt_python.attributes({name: np.array(value) for name, value in fields.items()})


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


REFUSED = """
from fdcn.errors import FdcnError
from fdcn.plugins import flavours, tensorrt_plugin
try:
    tensorrt_plugin.register(flavours.load("tensorrt-rtx"), {kind!r}, {library!r})
except FdcnError as error:
    print(error)
"""


def test_a_file_that_is_no_library_is_refused(rtx, tmp_path):
    (tmp_path / "garbage.so").write_bytes(b"no library" * 100)
    for name in ("garbage.so", "absent.so"):
        said = fresh(REFUSED.format(kind="library", library=str(tmp_path / name)))
        assert "is not fdcn's plugin library" in said
        assert "python -m fdcn.plugins.libraries tensorrt" in said


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("int other;", "is not fdcn's plugin library"),
        (
            "int fdcn_cuda_version() { return 13000; } void setLoggerFinder(void*) {}"
            "void* getCreators(int* count) { *count = 0; return 0; }",
            "has no fdcn::MultiScaleDCN of version 1",
        ),
    ],
)
def test_a_library_of_another_version_is_refused(rtx, tmp_path, source, message):
    out = tmp_path / "other.so"
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", out]
    if subprocess.run(command, input=f'extern "C" {{ {source} }}', text=True, check=False).returncode:
        pytest.skip("there is no g++")
    assert message in fresh(REFUSED.format(kind="library", library=str(out)))


def test_a_library_for_a_newer_driver_is_refused(rtx, library, monkeypatch):
    old = gpu.Gpu("GPU", "sm_86", 1 << 30, "12.4", "550.54")
    monkeypatch.setattr(tensorrt_plugin.gpu, "first", lambda: old)
    with pytest.raises(FdcnError, match=r"built with CUDA 13, and driver 550.54 runs CUDA up to 12.4; .* --cuda 12"):
        tensorrt_plugin._load(rtx, library)


def test_ahead_of_time_plugins_need_full_tensorrt(rtx):
    assert "takes TensorRT 10.9 or newer" in fresh(REFUSED.format(kind="aot", library=None))


def test_whether_the_kernel_can_be_compiled(monkeypatch):
    monkeypatch.setattr(tensorrt_plugin, "_has_bindings", lambda: False)
    assert not tensorrt_plugin.can_compile()
    monkeypatch.setattr(tensorrt_plugin, "_has_bindings", lambda: True)
    monkeypatch.setattr(tensorrt_plugin.nvrtc, "find", lambda newest: None)
    assert not tensorrt_plugin.can_compile()
