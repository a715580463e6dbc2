"""Reading checkpoints: every format, every wrapper, and everything that is not one."""

import collections
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from fdcn.errors import FdcnError
from fdcn.export import checkpoint
from fdcn.export.models.flowdcn.architecture import Architecture

SMALL = Architecture(blocks=2, hidden=8, groups=2, ffn=10, channels=1, out_channels=1, classes=3)


def state(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return collections.OrderedDict(
        (name, torch.randn(shape, generator=generator)) for name, shape in SMALL.shapes().items()
    )


def assert_same(got, want):
    assert list(got) == list(want)
    for name in want:
        assert torch.equal(got[name], want[name]), name


def lightning(raw, ema):
    return {
        "epoch": 3,
        "state_dict": {f"denoiser.{name}": tensor for name, tensor in raw.items()},
        "optimizer_states": [{"opt": {}, "ema": ema, "decay": 0.9999}],
        "lr_schedulers": [],
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_plain_state_dict(tmp_path, legacy):
    torch.save(state(), tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    assert_same(checkpoint.load(tmp_path / "a.pth").tensors, state())


def test_safetensors_and_its_metadata(tmp_path):
    save_file(dict(state()), tmp_path / "a.safetensors", {"fdcn.train_size": "28x28"})
    loaded = checkpoint.load(tmp_path / "a.safetensors")
    assert_same({name: loaded.tensors[name] for name in state()}, state())
    assert loaded.metadata == {"fdcn.train_size": "28x28"}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_are_stripped(tmp_path, prefix):
    torch.save({prefix + name: t for name, t in state().items()}, tmp_path / "a.pt")
    assert_same(checkpoint.load(tmp_path / "a.pt").tensors, state())


def test_one_compiled_block(tmp_path):
    torch.save({n.replace("blocks.1.", "blocks.1._orig_mod."): t for n, t in state().items()}, tmp_path / "a.pt")
    assert_same(checkpoint.load(tmp_path / "a.pt").tensors, state())


def test_nested_state_dict_and_half_precision(tmp_path):
    torch.save({"state_dict": {n: t.bfloat16() for n, t in state().items()}}, tmp_path / "a.pt")
    assert_same(checkpoint.load(tmp_path / "a.pt").tensors, {n: t.bfloat16().float() for n, t in state().items()})


@pytest.mark.parametrize("kind", [list, tuple])
def test_lightning_ema_and_raw(tmp_path, kind):
    torch.save(lightning(state(0), kind(state(1).values())), tmp_path / "a.ckpt")
    assert_same(checkpoint.load(tmp_path / "a.ckpt").tensors, state(1))
    assert_same(checkpoint.load(tmp_path / "a.ckpt", "raw").tensors, state(0))


def test_lightning_ema_is_checked_against_the_parameters(tmp_path):
    ema = list(state(1).values())
    for broken, says in ((ema[:-1], "46 tensors for 47"), (ema[::-1], "another order"), (None, "--weights raw")):
        torch.save(lightning(state(0), broken), tmp_path / "a.ckpt")
        with pytest.raises(FdcnError, match=says):
            checkpoint.load(tmp_path / "a.ckpt")


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
def test_code_is_refused_and_not_run(tmp_path, suffix):
    target = tmp_path / "owned"
    torch.save({"weight": torch.zeros(1), "evil": Payload(str(target))}, tmp_path / f"zip{suffix}")
    (tmp_path / f"raw{suffix}").write_bytes(pickle.dumps(Payload(str(target))))
    for name in ("zip", "raw"):
        with pytest.raises(FdcnError) as refusal:
            checkpoint.load(tmp_path / (name + suffix))
        assert "\n" not in str(refusal.value)
        assert not target.exists()
    if suffix != ".safetensors":
        with pytest.raises(FdcnError, match="would run code of its own"):
            checkpoint.load(tmp_path / f"zip{suffix}")


def test_truncated_files(tmp_path):
    torch.save(state(), tmp_path / "a.pth")
    save_file(dict(state()), tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for length in (0, 1, 9, len(whole) // 2, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(FdcnError) as refusal:
                checkpoint.load(tmp_path / name)
            assert name in str(refusal.value)
            assert "\n" not in str(refusal.value)


def test_other_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    (tmp_path / "a.txt").write_text("hello, I am no checkpoint")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    torch.save({"weights": {"a": torch.zeros(1)}, "step": 3}, tmp_path / "nested.pt")
    torch.save({}, tmp_path / "empty.pt")
    torch.save({"steps": torch.zeros(3, dtype=torch.int64)}, tmp_path / "ints.pt")
    for path in [*tmp_path.iterdir(), tmp_path / "missing.pt"]:
        with pytest.raises(FdcnError) as refusal:
            checkpoint.load(path)
        assert path.name in str(refusal.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_broken_numbers_are_named(tmp_path, value):
    broken = state()
    broken["blocks.1.norm2.weight"][3] = value
    torch.save(broken, tmp_path / "a.pth")
    with pytest.raises(FdcnError, match=r"NaN or infinity in blocks\.1\.norm2\.weight \(8,\)"):
        checkpoint.load(tmp_path / "a.pth")


def test_large_finite_numbers_are_fine(tmp_path):
    large = state()
    large["blocks.1.norm2.weight"][:] = 3e38  # the sum overflows, the numbers do not
    torch.save(large, tmp_path / "a.pth")
    assert_same(checkpoint.load(tmp_path / "a.pth").tensors, large)


def test_doubled_names(tmp_path):
    torch.save({**state(), **{"module." + n: t for n, t in state().items()}}, tmp_path / "a.pth")
    with pytest.raises(FdcnError, match="twice"):
        checkpoint.load(tmp_path / "a.pth")
