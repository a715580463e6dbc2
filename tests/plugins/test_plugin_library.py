"""The C++ plugin without TensorRT: a driver in C++ calls it as TensorRT would and prints what it gives."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fdcn.errors import FdcnError
from fdcn.plugins import contract, cuda_compilers, embedding, libraries, nvrtc

NATIVE = Path(__file__).parents[2] / "plugins" / "native"
DRIVER = Path(__file__).parent / "plugin_driver"
WARNINGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
HEADERS = [folder for name in libraries.LIBRARIES["tensorrt"].fetched if (folder := libraries.DEPS / name).is_dir()]
if named := os.environ.get("TENSORRT_ROOT"):
    HEADERS += [folder for folder in (Path(named), Path(named) / "include") if (folder / "NvInfer.h").is_file()]
NO_HEADERS = (
    "the plugin was not compiled: no TensorRT headers; set TENSORRT_ROOT, or python scripts/fetch_headers.py build/deps"
)

FAILED = -1
INSUFFICIENT_DRIVER, NO_KERNEL_IMAGE, LAUNCH_FAILURE = 35, 209, 719


@pytest.fixture(scope="module")
def compile_cpp(tmp_path_factory):
    """compile_cpp(name, tensorrt, *words) → a compiled file; the words are sources, folders and options."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "contract.h").write_text(contract.header())
    try:
        cuda = cuda_compilers.headers(nvrtc.get())
    except FdcnError as error:
        pytest.skip(f"the plugin was not compiled: {error}")

    def run(name, tensorrt, *words):
        out = folder / name
        system = [f"-isystem{path}" for path in (tensorrt, cuda) if path]
        command = ["g++", *WARNINGS, "-O1", f"-I{NATIVE}", f"-I{folder}", *system, *map(str, words), "-o", out, "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return out

    return run


@pytest.fixture(scope="module", params=HEADERS or [None], ids=lambda path: path.name if path else "none")
def tensorrt(request):
    """Folder of one version of TensorRT's headers."""
    if request.param is None:
        pytest.skip(NO_HEADERS)
    return request.param


@pytest.fixture(scope="module")
def recorded(compile_cpp, tensorrt):
    """Lines of the driver with a plugin whose kernel only says what it is given."""
    plugin = [NATIVE / "tensorrt_plugin.cpp", DRIVER / "launch_recorder.cpp", "-DFDCN_CUDA_VERSION=13000"]
    library = compile_cpp(f"{tensorrt.name}.so", tensorrt, "-shared", "-fPIC", *plugin)
    driver = compile_cpp(f"driver-{tensorrt.name}", tensorrt, DRIVER / "driver.cpp")
    return drive(driver, library)


def drive(driver, library, **environment):
    done = subprocess.run(
        [driver, library], capture_output=True, text=True, check=False, env=os.environ | environment, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def starting(lines, word):
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def test_it_is_the_contract_s_plugin(recorded):
    assert starting(recorded, "creators") == ["1 fdcn::MultiScaleDCN 1"]
    assert starting(recorded, "field") == ["groups 5 1 2", "taps 5 1 9"]  # PluginFieldType.INT32, one number each
    assert starting(recorded, "timing") == ["groups 2, taps 9"]


def test_attributes(recorded):
    made = dict(map(str.split, starting(recorded, "create")))
    assert [name for name in made if made[name] == "made"] == ["int64", "more", "right"]
    assert {made[name] for name in made if name not in ("int64", "more", "right")} == {"refused"}
    said = starting(recorded, "log 1 fdcn::MultiScaleDCN: createPlugin:")
    assert said == [
        "the attribute taps is missing",
        "the attribute groups is missing",
        "groups = 0 is impossible",
        "groups is not an integer",
        "groups is not one number",
        "groups is not one number",
        "taps = 1099511627776 is impossible",
        "groups and taps are impossible",
        "the attribute groups is missing",
    ]
    assert starting(recorded, "silent") == ["refused"]


def test_types(recorded):
    half, single, brain = "1", "0", "7"  # nvinfer1::DataType
    accepted = {
        position: set(pairs.split()) for position, _, pairs in (t.partition(" ") for t in starting(recorded, "types"))
    }
    assert accepted["0"] == {f"{t}:{t}" for t in (half, single, brain)}
    for position in "12":
        assert {pair.partition(":")[2] for pair in accepted[position]} == {single}
    assert {f"{t}:{t}" for t in (half, single, brain)} <= accepted["3"]
    assert all(first == own for first, _, own in (pair.partition(":") for pair in accepted["3"]))
    assert starting(recorded, "packed") == ["0"]
    outputs = dict(line.split(" ", 1) for line in starting(recorded, "output"))
    assert {kind: given for kind, given in outputs.items() if given.startswith("0")} == {
        f"{t},{single}": f"0 {t}" for t in (half, single, brain)
    }


def test_launches(recorded):
    """Types, sizes and pointers as launch.h has them, and the launcher's status as the result."""
    assert starting(recorded, "launch") == [
        "type 1, shape 2 9 17 2 5 9, at 1024 2048 3072, stream (nil)",
        "type 0, shape 1 1 1 2 9 9, at 1024 2048 3072, stream (nil)",
        "type 2, shape 1 1 1 2 9 9, at 1024 2048 3072, stream (nil)",
        "type 1, shape 0 3 4 2 5 9, at 1024 2048 3072, stream (nil)",
    ]
    runs = {
        name: (int(changed), int(enqueued)) for name, changed, enqueued in map(str.split, starting(recorded, "run"))
    }
    assert runs["right"] == (0, NO_KERNEL_IMAGE)
    assert runs["empty"] == (0, 0)
    assert any("error 209: this library has no code for this GPU" in line for line in recorded)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("narrow", "a projection 72 wide cannot hold 2 groups of 9 taps"),
        ("uneven", "a projection 83 wide cannot hold"),
        ("axes", "not 4, 2 and 2 axes"),
        ("prior", "prior is not"),
        ("rows", "s_max has not one row an image"),
        ("large", "too large for one launch"),
    ],
)
def test_shapes_are_refused(recorded, case, message):
    assert f"{case} {FAILED} {FAILED}" in starting(recorded, "run")
    for method in ("onShapeChange", "enqueue"):
        assert any(message in line for line in starting(recorded, f"log 1 fdcn::MultiScaleDCN: {method}:"))


def test_a_type_is_refused(recorded):
    assert f"type 0 {FAILED}" in starting(recorded, "run")


@pytest.fixture(scope="module")
def fake_cuda(compile_cpp):
    """Folder of a libcuda.so.1 that says what it is given."""
    return compile_cpp("libcuda.so.1", None, "-shared", "-fPIC", DRIVER / "fake_cuda.cpp").parent


@pytest.fixture(scope="module")
def embedded(compile_cpp, fake_cuda, tmp_path_factory):
    """(driver, plugin library with embedded kernels for sm_80 and sm_86, folder of a libcuda.so.1 that is fake)."""
    if not HEADERS:
        pytest.skip(NO_HEADERS)
    compiler = nvrtc.find()
    if compiler is None:
        pytest.skip("embedded kernels were not tested: there is no NVRTC")
    folder = tmp_path_factory.mktemp("embedded")
    embedding.write(folder, compiler, (80, 86))
    plugin = [NATIVE / "tensorrt_plugin.cpp", NATIVE / "launch_embedded.cpp", folder / "embedded.cpp", f"-I{folder}"]
    library = compile_cpp("embedded.so", HEADERS[0], "-shared", "-fPIC", *plugin, "-DFDCN_CUDA_VERSION=13000")
    return compile_cpp("driver", HEADERS[0], DRIVER / "driver.cpp"), library, fake_cuda


@pytest.mark.parametrize(
    ("architecture", "loads"),
    [("86", "cubin "), ("87", "cubin "), ("80", "cubin "), ("120", "ptx sm_86"), ("90", "ptx sm_86")],
)
def test_embedded_kernels(embedded, architecture, loads):
    driver, library, cuda = embedded
    lines = drive(driver, library, LD_LIBRARY_PATH=str(cuda), FAKE_ARCHITECTURE=architecture)
    assert starting(lines, "load") == [loads]  # once
    at = "shared 0, sizes {} {} {} 2 {} 9, at 1024 2048 3072"
    assert starting(lines, "launch") == [
        f"fdcn_float16, grid 6 3 2 of 288, {at.format(2, 9, 17, 5)}",
        f"fdcn_float32, grid 1 1 2 of 288, {at.format(1, 1, 1, 9)}",
        f"fdcn_bfloat16, grid 1 1 2 of 288, {at.format(1, 1, 1, 9)}",
    ]
    assert f"right 0 {LAUNCH_FAILURE}" in starting(lines, "run")
    assert "empty 0 0" in starting(lines, "run")
    assert f"large {FAILED} {FAILED}" in starting(lines, "run")


def test_embedded_kernels_for_no_such_gpu(embedded):
    driver, library, cuda = embedded
    lines = drive(driver, library, LD_LIBRARY_PATH=str(cuda), FAKE_ARCHITECTURE="75")
    assert f"right 0 {NO_KERNEL_IMAGE}" in starting(lines, "run")


def test_embedded_kernels_without_a_driver(embedded):
    driver, library, _ = embedded
    lines = drive(driver, library)
    if cuda_compilers.newest_cuda():
        pytest.skip("there is a driver")
    assert f"right 0 {INSUFFICIENT_DRIVER}" in starting(lines, "run")
    assert any("error 35: the driver is older than CUDA 13" in line for line in lines)


PYTHON_LAUNCH = """
from fdcn.plugins import gpu_launch
for dtype in ("float16", "float32"):
    launch = gpu_launch.Launch(dtype, 2, 9, 17, 2, 5, 9)
    try:
        launch(4096, 4096 + 1024, 4096 + 2048, 4096 + 3072, 0)
    except RuntimeError as error:
        print(error, flush=True)
"""


def test_python_launches_the_same(fake_cuda):
    """gpu_launch, through cuda-python."""
    pytest.importorskip("cuda.bindings")
    if nvrtc.find() is None:
        pytest.skip("there is no NVRTC")
    environment = os.environ | {"LD_LIBRARY_PATH": str(fake_cuda), "FAKE_ARCHITECTURE": "86"}
    done = subprocess.run(
        [sys.executable, "-c", PYTHON_LAUNCH], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    lines = done.stdout.splitlines()
    assert starting(lines, "load") == ["cubin "], done.stderr
    rest = "grid 6 3 2 of 288, shared 0, sizes 2 9 17 2 5 9, at 1024 2048 3072"
    assert starting(lines, "launch") == [f"fdcn_float16, {rest}", f"fdcn_float32, {rest}"]
    assert starting(lines, "cuLaunchKernel:") == ["CUDA_ERROR_LAUNCH_FAILED"] * 2


def test_both_launchers_have_the_same_limits():
    text = [(NATIVE / name).read_text() for name in ("launch.cu", "launch_embedded.cpp")]
    limits = [re.search(r"^bool can_launch.*?^}", source, re.M | re.S)[0] for source in text]
    assert limits[0] == limits[1]
