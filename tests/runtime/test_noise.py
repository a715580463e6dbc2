"""Philox against Random123's published vectors, and the normals of the design's table: in NumPy and in C++."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fdcn.plugins import contract
from fdcn.runtime.noise import normals, philox4x32, words

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "runtime" / "native"

F = 0xFFFFFFFF
RANDOM123 = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((F, F, F, F), (F, F), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
FDCN = [
    (0, 0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8", "3f7dbb33 bf6cb6b0 bf1e1b9f bef6d1b2"),
    (1, 0, 0, 4, "ac08141b dfc5ccbe 79c07a47 a7f66093", "3f207fa8 bf224cc3 bf2da335 bf81aca0"),
    (0x123456789ABCDEF0, 7, 1, 4092, "f4de42f0 82ad5907 64d6748d 8a63ef09", "be98576f bca0639d bfa912f8 beb04e6f"),
]


def bits(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """philox.h, by itself."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the noise was not compiled: there is no g++")
    folder = tmp_path_factory.mktemp("native")
    (folder / "contract.h").write_text(contract.header())
    command = [compiler, "-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", f"-I{NATIVE}", f"-I{folder}"]
    command += ["-Wall", "-Wextra", "-Wpedantic", "-Werror", HERE / "native.cpp", "-o", folder / "native.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "native.so"))


def native_words(native, counter, key):
    made = (ctypes.c_uint * 4)()
    native.native_philox((ctypes.c_uint * 4)(*counter), (ctypes.c_uint * 2)(*key), made)
    return np.array(made, np.uint32)


def native_normals(native, seed, step, draw, elements):
    z = np.full(-(-elements // 4) * 4, np.nan, np.float32)
    native.native_normals(ctypes.c_ulonglong(seed), step, draw, len(z) // 4, z.ctypes.data_as(ctypes.c_void_p))
    return z[:elements]


def ulps(got, want):
    return np.abs(got.view(np.int32).astype(np.int64) - want.view(np.int32).astype(np.int64)).max()


@pytest.mark.parametrize(("counter", "key", "want"), RANDOM123)
def test_philox_vectors(counter, key, want):
    np.testing.assert_array_equal(philox4x32(np.array([counter], np.uint32), key)[0], bits(want))


@pytest.mark.parametrize(("seed", "step", "draw", "element", "want_words", "want_normals"), FDCN)
def test_words_and_normals(seed, step, draw, element, want_words, want_normals):
    np.testing.assert_array_equal(words(seed, step, draw, element + 4)[element // 4], bits(want_words))
    got = normals(seed, step, draw, (element + 4,))[element:].view(np.uint32).astype(np.int64)
    assert np.abs(got - bits(want_normals)).max() <= 1  # one unit in the last place


@pytest.mark.parametrize(("counter", "key", "want"), RANDOM123)
def test_philox_vectors_in_cpp(native, counter, key, want):
    np.testing.assert_array_equal(native_words(native, counter, key), bits(want))


@pytest.mark.parametrize(("seed", "step", "draw", "element", "want_words", "want_normals"), FDCN)
def test_words_and_normals_in_cpp(native, seed, step, draw, element, want_words, want_normals):
    got = native_words(native, (element // 4, step, draw, 0), (seed & F, seed >> 32))
    np.testing.assert_array_equal(got, bits(want_words))
    z = native_normals(native, seed, step, draw, element + 4)[element:]
    assert ulps(z, bits(want_normals)) <= 1


@pytest.mark.parametrize("seed", [0, 2**64 - 1, 0x123456789ABCDEF0])
def test_normals_in_cpp_are_numpys(native, seed):
    assert ulps(native_normals(native, seed, 250, 1, 100_003), normals(seed, 250, 1, (100_003,))) <= 1


def test_shape_and_length_do_not_move_an_element():
    whole = normals(5, 3, 1, (3, 5, 7))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole.ravel()[:13], normals(5, 3, 1, (13,)))


def test_they_are_standard_normals_and_draws_differ():
    z = np.stack([normals(9, step, draw, (100_000,)) for step, draw in ((0, 0), (1, 0), (1, 1))])
    assert np.isfinite(z).all()
    np.testing.assert_allclose(np.cov(z), np.eye(3), atol=0.02)
    np.testing.assert_allclose(z.mean(1), 0, atol=0.02)
    np.testing.assert_allclose((z**4).mean(1), 3, atol=0.15)
