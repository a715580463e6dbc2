"""kernel.cuh and launch.cu, compiled for the CPU and run thread by thread: their indexing, without a GPU.

`emulator/` has the headers that stand in for CUDA's. A read outside the inputs, or one that is not aligned, is an error
there as it is on a GPU; a barrier that is missing shows in one of the two orders in which the threads run.
"""

import ctypes
import itertools
import shutil
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from oracles import (
    BORDERS,
    LAYOUTS,
    TOLERANCES,
    assert_close,
    assert_same,
    border_inputs,
    golden_case,
    random_inputs,
)

from fdcn.plugins import contract, spec
from fdcn.plugins.reference import multi_scale_dcn

ROOT = Path(__file__).parents[2]
EMULATOR = Path(__file__).parent / "emulator"
NATIVE = ROOT / "plugins" / "native"
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
INVALID_VALUE = 1  # cudaErrorInvalidValue
GUARD = 64  # elements around an output that nothing may touch


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The launcher in a library for this CPU."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the CUDA kernel was not emulated: there is no g++")
    folder = tmp_path_factory.mktemp("emulated")
    (folder / "contract.h").write_text(contract.header())
    built = folder / "kernel.so"
    command = [compiler, "-std=c++17", "-O2", "-fPIC", "-shared", "-fno-strict-aliasing"]
    command += ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-parameter"]
    command += [f"-I{path}" for path in (EMULATOR, NATIVE, folder)]
    command += ["-x", "c++", NATIVE / "launch.cu", ROOT / "benchmarks" / "kernels" / "binding.cu"]
    done = subprocess.run(
        [*command, EMULATOR / "emulator.cpp", "-o", built], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(built))


@pytest.fixture(params=["ascending", "descending"])
def run(library, request):
    """run(inputs, groups, taps, offset=0) → output; every tensor lies `offset` elements past a 16-byte boundary."""
    library.emulator_descend(request.param == "descending")

    def run(inputs, groups, taps, offset=0):
        projection = inputs[0]
        N, H, W, width = projection.shape
        C = spec.value_width(width, groups, taps) // groups
        guarded = np.full(N * H * W * groups * C + 2 * GUARD + offset, 77, projection.dtype)
        given = [shifted(array, offset) for array in inputs]
        library.emulator_forget()
        for array in given:
            library.emulator_may_read(pointer(array), ctypes.c_size_t(array.nbytes))
        out = shifted(guarded, offset)
        status = launch(library, projection.dtype.name, (N, H, W, groups, C, taps), given, out[GUARD:])
        assert status == 0, f"cudaError_t {status}"
        end = GUARD + N * H * W * groups * C
        assert (out[:GUARD] == 77).all()
        assert (out[end:] == 77).all()
        return out[GUARD:end].reshape(N, H, W, groups * C)

    return run


def launch(library, dtype, sizes, inputs, out):
    """The launcher's status; sizes are N, H, W, G, C, K."""
    wide = [ctypes.c_longlong(size) for size in sizes[:3]]
    return library.fdcn_multi_scale_dcn(
        list(DTYPES).index(dtype), *wide, *sizes[3:], *(pointer(array) for array in inputs), pointer(out), None
    )


def shifted(array, elements):
    """A flat copy that begins so many elements past a multiple of 16 bytes."""
    room = np.empty(array.nbytes + 16 + elements * array.itemsize, np.uint8)
    start = -room.ctypes.data % 16 + elements * array.itemsize
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.ravel()
    return copy


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "groups", "channels", "taps"), LAYOUTS)
def test_layouts(run, shape, groups, channels, taps, dtype):
    projection, prior, s_max = random_inputs(shape, groups, channels, taps)
    inputs = projection.astype(DTYPES[dtype]), prior, s_max
    assert_same(run(inputs, groups, taps), multi_scale_dcn(*inputs, groups, taps))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 40, 64, 72, 128])
def test_channels_of_every_path(run, channels, dtype):
    """Vectors of 16 bytes with the channels known and not, of 4 bytes, and single values."""
    projection, prior, s_max = random_inputs((2, 5, 9), 3, channels, 9)
    inputs = projection.astype(DTYPES[dtype]), prior, s_max
    assert_same(run(inputs, 3, 9), multi_scale_dcn(*inputs, 3, 9))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [1, 2, 3, 4, 6, 7])
def test_misaligned_views(run, offset, dtype):
    projection, prior, s_max = random_inputs((1, 3, 9), 2, 64, 9)
    inputs = projection.astype(DTYPES[dtype]), prior, s_max
    assert_same(run(inputs, 2, 9, offset), multi_scale_dcn(*inputs, 2, 9))


@pytest.mark.parametrize("taps", [1, 8, 10, 143, 144, 145, 288, 289, 600])
def test_any_number_of_taps(run, taps):
    """Tokens that share a block's room for landed taps, and tokens that land theirs in pieces."""
    inputs = random_inputs((1, 2, 9), 2, 80, taps)
    assert_same(run(inputs, 2, taps), multi_scale_dcn(*inputs, 2, taps))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (4, 8), (5, 9), (3, 7)])
def test_tiles_that_an_image_does_not_fill(run, size):
    inputs = random_inputs((2, *size), 1, 72, 9)
    assert_same(run(inputs, 1, 9), multi_scale_dcn(*inputs, 1, 9))


@pytest.mark.parametrize("case", BORDERS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
def test_borders(run, case, size):
    inputs = border_inputs(*size, **BORDERS[case])
    assert_same(run(inputs, 1, 1), multi_scale_dcn(*inputs, 1, 1))


@pytest.mark.parametrize("channels", [6, 64])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(spec.TAP_FIELDS, [np.nan, np.inf, -np.inf, 90, -90]),
        *itertools.product(spec.TAP_FIELDS[:2], [1e30, -1e30, 3e38, -3e38]),
    ],
)
def test_extreme_taps(run, field, value, channels):
    projection, prior, s_max = random_inputs((1, 4, 5), 2, channels, 9)
    projection[..., 2 * channels + spec.TAP_FIELDS.index(field) :: 8] = value
    inputs = projection, prior, s_max
    assert_same(run(inputs, 2, 9), multi_scale_dcn(*inputs, 2, 9))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_outside_does_not_leak_in(run, value):
    """All values but those of one cell are finite; who does not read that cell stays finite, borders included."""
    projection, prior, s_max = random_inputs((1, 5, 6), 1, 64, 9)
    projection[0, 0, 0, :64] = value
    inputs = projection, prior, s_max
    got = run(inputs, 1, 9)
    assert np.isfinite(got).any()
    assert_same(got, multi_scale_dcn(*inputs, 1, 9))


@pytest.mark.parametrize("case", [0, 1, 2])
def test_golden(run, golden, case):
    inputs, groups, taps, want = golden_case(golden / f"op_{case}.npz")
    assert_close(run(inputs, groups, taps), want, *TOLERANCES["golden"])


def test_the_same_whatever_the_order_and_the_mates(run, library):
    projection, prior, s_max = random_inputs((3, 4, 9), 2, 64, 9)
    together = run((projection, prior, s_max), 2, 9)
    for i in range(3):
        np.testing.assert_array_equal(run((projection[i : i + 1], prior, s_max[i : i + 1]), 2, 9)[0], together[i])


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_empty(run, shape):
    assert run(random_inputs(shape, 2, 5, 9), 2, 9).shape == (*shape, 10)


MANY = 2**16


@pytest.mark.parametrize(
    "sizes",
    [
        (1, 2, 2, 0, 8, 9),
        (1, 2, 2, 1, -8, 9),
        (1, 2, 2, 1, 8, 0),
        (-1, 2, 2, 1, 8, 9),
        (1, 2**24, 1, 1, 8, 9),
        (1, MANY, MANY, 1, 8, 9),
        (1, 4 * MANY, 1, 1, 8, 9),
        (2**31, 1, 1, 1, 8, 9),
        (2**62, 1, 2**23, 1, 8, 9),
        (1, 1, 1, MANY, 8, 9),
        (1, 1, 1, 1024, 2**31 - 1, 2**31 - 1),
    ],
)
def test_impossible_shapes_are_refused(library, sizes):
    inputs = random_inputs((1, 1, 1), 1, 8, 9)
    assert launch(library, "float32", sizes, inputs, np.empty(8, np.float32)) == INVALID_VALUE


def test_null_pointers_and_unknown_types_are_refused(library):
    inputs, out = random_inputs((1, 1, 1), 1, 8, 9), np.empty(8, np.float32)
    sizes = [*(ctypes.c_longlong(1),) * 3, 1, 8, 9]
    pointers = [*map(pointer, inputs), pointer(out)]
    assert library.fdcn_multi_scale_dcn(3, *sizes, *pointers, None) == INVALID_VALUE
    for i in range(4):
        missing = [*pointers[:i], None, *pointers[i + 1 :]]
        assert library.fdcn_multi_scale_dcn(0, *sizes, *missing, None) == INVALID_VALUE
