"""A diffusers AutoencoderKL's decoder inside the bundle."""

import pytest
import torch
from oracles import assert_close

from fdcn.errors import FdcnError
from fdcn.export.exporter import Options, export
from fdcn.runtime.pipeline import Pipeline

diffusers = pytest.importorskip("diffusers", reason="fdcn[vae] is not installed")
DECODED = 1e-4
"""Two float32 convolution stacks, ONNX Runtime's and torch's."""


def make(folder, **config):
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        **{"latent_channels": 4, "scaling_factor": 0.18215} | config,
    )
    vae.save_pretrained(folder)
    return vae.eval()


@pytest.fixture(scope="module")
def decoding(tmp_path_factory, golden):
    folder = tmp_path_factory.mktemp("vae")
    vae = make(folder / "vae")
    return vae, export(golden / "tiny.pth", folder / "bundle", Options(vae=folder / "vae"))


def test_decoder_matches_diffusers_at_any_size(decoding):
    vae, bundle = decoding
    assert bundle.manifest.pixel_factor == 2
    pipe = Pipeline(bundle)
    images = pipe([3, 4], size=(37, 18), solver="euler", steps=2)
    assert images.latents.shape == (2, 4, 10, 20)
    assert images.pixels.shape == (2, 18, 37, 3)
    with torch.no_grad():
        want = vae.decode(torch.from_numpy(images.latents) / 0.18215).sample.numpy()
    assert_close(pipe.backend.decode(images.latents), want, DECODED, DECODED)


def test_folders_that_are_no_vae(tmp_path, golden):
    with pytest.raises(FdcnError, match=r"config\.json"):
        export(golden / "tiny.pth", tmp_path / "b", Options(vae=tmp_path))
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(FdcnError, match="AutoencoderKL"):
        export(golden / "tiny.pth", tmp_path / "b", Options(vae=tmp_path))
    make(tmp_path / "wide", latent_channels=8)
    with pytest.raises(FdcnError, match="8 channels, the model has 4"):
        export(golden / "tiny.pth", tmp_path / "b", Options(vae=tmp_path / "wide"))
    make(tmp_path / "cut")
    (weights,) = (tmp_path / "cut").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(FdcnError, match="cannot load this VAE"):
        export(golden / "tiny.pth", tmp_path / "b", Options(vae=tmp_path / "cut"))
    assert not (tmp_path / "b").exists()
