"""tap.h, built by the host's compiler, against the oracle: the arithmetic that every native implementation shares."""

import ctypes
import shutil
import subprocess
from pathlib import Path

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
    planted_inputs,
    random_inputs,
)

from fdcn.plugins import contract, spec
from fdcn.plugins.reference import multi_scale_dcn

ROOT = Path(__file__).parents[2]
SOURCE = """
#include "host.h"

extern "C" void run(long long N, long long H, long long W, int G, int C, int K, float const* projection,
                    float const* prior, float const* s_max, float* out) {
    fdcn::multi_scale_dcn_host({N, H, W, G, C, K}, projection, prior, s_max, out);
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(inputs, groups, taps) → the operator by tap.h, float32."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("tap.h was not tested: there is no C++ compiler")
    folder = tmp_path_factory.mktemp("tap")
    (folder / "contract.h").write_text(contract.header())
    (folder / "tap.cpp").write_text(SOURCE)
    includes = [f"-I{path}" for path in (folder, ROOT / "plugins" / "native", ROOT / "benchmarks" / "kernels")]
    command = [compiler, "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", *includes]
    done = subprocess.run(
        [*command, folder / "tap.cpp", "-o", folder / "tap.so"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "tap.so"))

    def run(inputs, groups, taps):
        projection, prior, s_max = (np.ascontiguousarray(array, np.float32) for array in inputs)
        values = spec.value_width(projection.shape[3], groups, taps)
        out = np.full((*projection.shape[:3], values), np.nan, np.float32)
        sizes = [*map(ctypes.c_longlong, projection.shape[:3]), groups, values // groups, taps]
        library.run(*sizes, *(ctypes.c_void_p(array.ctypes.data) for array in (projection, prior, s_max, out)))
        return out

    return run


@pytest.mark.parametrize("case", [0, 1, 2])
def test_golden(run, golden, case):
    inputs, groups, taps, want = golden_case(golden / f"op_{case}.npz")
    assert_close(run(inputs, groups, taps), want, *TOLERANCES["golden"])


@pytest.mark.parametrize(("shape", "groups", "channels", "taps"), LAYOUTS)
def test_layouts(run, shape, groups, channels, taps):
    inputs = random_inputs(shape, groups, channels, taps)
    assert_same(run(inputs, groups, taps), multi_scale_dcn(*inputs, groups, taps))


@pytest.mark.parametrize("grid", [(3, 4), (1, 3), (1, 1)])
@pytest.mark.parametrize("border", BORDERS)
def test_borders(run, grid, border):
    inputs = border_inputs(*grid, **BORDERS[border])
    assert_same(run(inputs, 1, 1), multi_scale_dcn(*inputs, 1, 1))


SIZES = [(1, 1), (1, 6), (5, 1), (7, 9)]
TAPS = 25_000
"""Of each size: 100,000 in all."""


@pytest.mark.parametrize("size", SIZES)
def test_random_taps_at_and_beyond_the_borders(run, size):
    """Positions exactly on cells and borders, next to them, anywhere, huge, infinite and NaN."""
    H, W = size
    rng = np.random.default_rng(H * 100 + W)
    shape = (-(-TAPS // (H * W)), H, W, 1, 1)
    x, y = (positions(rng, shape, bound) for bound in (W, H))
    grid = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1).astype(np.float32)
    with np.errstate(invalid="ignore"):
        offset = np.stack([x, y], -1) - grid[:, :, None, None]
    weight = rng.choice([1, -0.5, 1e20, np.nan, np.inf], shape, p=[0.5, 0.47, 0.01, 0.01, 0.01])
    values = rng.choice([1, 2, -3, np.nan, np.inf], (*shape[:4], 2), p=[0.4, 0.3, 0.28, 0.01, 0.01])
    inputs = planted_inputs(values, offset, weight)
    want = multi_scale_dcn(*inputs, 1, 1)
    assert_same(run(inputs, 1, 1), want)
    assert 0.1 < (want != 0).mean() < 0.9


def positions(rng, shape, size):
    """Positions along an axis of so many cells; half of them where the contract has an edge."""
    edges = np.array([-2, -1, 0, size - 1, size], np.float32)
    beside = [np.nextafter(edges, np.float32(far)) for far in (-np.inf, np.inf)]
    far = np.array([np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31), 1e30, -3e38], np.float32)
    special = np.concatenate([edges, *beside, np.arange(-3, size + 2), far]).astype(np.float32)
    anywhere = rng.uniform(-4, size + 2, shape).astype(np.float32)
    return np.where(rng.random(shape) < 0.5, rng.choice(special, shape), anywhere)


@pytest.mark.parametrize("size", SIZES)
def test_random_scales(run, size):
    """Every field of a tap at once, with the numbers that a sigmoid and a sum may overflow on."""
    rng = np.random.default_rng(size)
    projection, prior, s_max = random_inputs((-(-TAPS // (9 * size[0] * size[1])), *size), 1, 2, 9)
    taps = projection[..., 2:]
    special = [np.nan, np.inf, -np.inf, 1e-45, 90, -90, 3e38, -3e38]
    taps[...] = np.where(rng.random(taps.shape) < 0.02, rng.choice(special, taps.shape), taps)
    weights = taps[..., 3::4]
    weights[np.abs(weights) > 1e30] = np.inf  # a huge one would only show the roundings of a position
    inputs = projection, prior, s_max
    assert_same(run(inputs, 1, 9), multi_scale_dcn(*inputs, 1, 9))
