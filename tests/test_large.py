"""XL/2 with random weights: export, build and one evaluation, with their time and memory. `make test-large`."""

import numpy as np
import pytest
import torch
from building import build_apart
from exporting import export_apart
from oracles import assert_close

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.export.engine import build_onnxruntime
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.models.flowdcn.network import FlowDCN
from fdcn.plugins import flavours, libraries
from fdcn.runtime.backends.onnxrt import OnnxRuntime

pytestmark = pytest.mark.large

XL2 = Architecture(blocks=28, hidden=1152, groups=16, ffn=3072, channels=4, out_channels=8, classes=1000)
EXPORT_MEMORY = 2.5
"""Most resident memory of an export over the checkpoint's bytes."""
BUILD_MEMORY = 4e9
"""Most resident memory of a build for TensorRT, in bytes."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Random weights, small enough that 28 blocks neither vanish nor explode."""
    generator = torch.Generator().manual_seed(0)
    path = tmp_path_factory.mktemp("xl") / "xl.pth"
    torch.save({name: torch.randn(shape, generator=generator) * 0.02 for name, shape in XL2.shapes().items()}, path)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint):
    """The bundle's folder, and what exporting it took."""
    folder = checkpoint.parent / "bundle"
    return folder, export_apart(checkpoint, folder)


def test_export_memory(exported, capsys):
    _, measured = exported
    ratio = measured["peak_over_weights"]
    with capsys.disabled():
        print(f"\nXL/2 export: {measured['seconds']:.0f} s, peak {ratio:.2f} times the checkpoint's bytes")
    assert ratio < EXPORT_MEMORY


def test_names_and_defaults(exported):
    manifest = Bundle.open(exported[0]).manifest
    assert manifest.train_size == [256, 256]
    assert manifest.class_names[207] == "golden retriever"
    assert manifest.model.parameters == 618_948_120


def test_an_evaluation_against_the_network_as_trained(exported, checkpoint):
    rng = np.random.default_rng(0)
    x, t, y = rng.standard_normal((2, 4, 32, 16)).astype(np.float32), np.float32([0.3]), np.array([1000, 207])
    s_max = np.full((2, 28, 2), 6, np.float32)
    with torch.no_grad():
        network = FlowDCN(XL2)
        network.load_state_dict(torch.load(checkpoint, mmap=True), assign=True)
        want = network(torch.from_numpy(x), torch.full((2,), 0.3), torch.from_numpy(y)).numpy()
    del network
    for bundle in (Bundle.open(exported[0]), build_onnxruntime(Bundle.open(exported[0]))):
        backend = OnnxRuntime(bundle)
        got = backend.denoise("denoiser", x, *backend.condition(t, y), s_max)
        assert_close(got, want, 1e-4, 1e-4)
        del backend


def test_a_tensorrt_engine_in_float16(exported, capsys):
    try:
        flavours.load("tensorrt-rtx")
        libraries.build("tensorrt")
    except FdcnError as error:
        pytest.skip(f"no XL/2 engine was built: {error}")
    measured = build_apart(exported[0], "float16", "sm_86", "library")
    with capsys.disabled():
        peak, size = measured["peak_bytes"] / 1e9, sum(measured["engine_bytes"].values()) / 1e9
        print(f"\nXL/2 float16 by TensorRT-RTX: {measured['seconds']:.0f} s, peak {peak:.2f} GB, engines {size:.2f} GB")
    assert measured["peak_bytes"] < BUILD_MEMORY
    engine = Bundle.open(exported[0]).manifest.engines[-1]
    assert (engine.target.precision, engine.target.plugin.kind) == ("float16", "library")
    assert 1.2e9 < sum(measured["engine_bytes"].values()) < 1.4e9  # half of 619 M float32 parameters
