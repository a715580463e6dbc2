"""`fdcn sample`: which picture has which index, what an interruption leaves, and what is refused."""

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline
from fdcn.serve.sets.folder import Folder
from fdcn.serve.sets.sample import make_here, sample
from fdcn.serve.sets.sample_set import Machine, SampleSet, resolve_set

QUICK = {"solver": "euler", "steps": 2}
ROUNDING = 1
"""Levels: pictures that are sampled together may take other matrix kernels."""
SOON = 60
"""Seconds after which a test is stuck."""


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    with Pipeline(toy_bundle, "onnxruntime") as made:
        yield made


def asked(bundle, number, **options):
    return resolve_set(bundle.path, number=number, **{**QUICK, "shard": 4, **options})


def made(pictures, out, make=make_here):
    return sample(pictures, out, make, lambda done, total: None)


def assert_same(got, want):
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want.astype(int)).max() <= ROUNDING


def wanted(pipe, number, seed=0, labels=(0, 1, 2), **options):
    chosen = [labels[i % len(labels)] for i in range(number)]
    seeds = [seed + i for i in range(number)]
    return pipe(chosen, seeds=seeds, **QUICK, **options).pixels.repeat(3, axis=3)


def test_an_archive_has_each_picture_in_its_place(toy_bundle, pipe, tmp_path):
    done, fresh = made(asked(toy_bundle, 10, seed=40, size=(12, 8)), tmp_path / "set")
    assert fresh == 10
    with np.load(tmp_path / "set" / "samples.npz", allow_pickle=False) as archive:
        assert archive["arr_0"].dtype == np.uint8
        assert archive["arr_0"].shape == (10, 8, 12, 3)
        assert_same(archive["arr_0"], wanted(pipe, 10, 40, size=(12, 8)))
        assert archive["arr_1"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["manifest.json", "samples.npz"]
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    content = (tmp_path / "set" / "samples.npz").read_bytes()
    (file,) = manifest["files"]
    assert (file["first"], file["count"]) == (0, 10)
    assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest["weights_sha256"] == toy_bundle.manifest.model.weights_sha256
    assert manifest["shape"] == list(done.shape) == [10, 8, 12, 3]


def test_webdataset_shards_have_each_picture_once(toy_bundle, pipe, tmp_path):
    done, _ = made(asked(toy_bundle, 10, format="webdataset", labels=["Ring", "0"]), tmp_path / "set")
    pictures = wanted(pipe, 10, labels=(1, 0))
    found = {}
    for file in done.files:
        with tarfile.open(tmp_path / "set" / file.file) as archive:
            for member in archive:
                assert member.name not in found
                found[member.name] = archive.extractfile(member).read()
    assert len(found) == 30
    for i in range(10):
        assert_same(np.asarray(Image.open(io.BytesIO(found[f"{i:08d}.png"]))), pictures[i])
        assert found[f"{i:08d}.cls"] == (b"1", b"0")[i % 2]
        about = json.loads(found[f"{i:08d}.json"])
        assert about == {"index": i, "class": 1 - i % 2, "name": ("Ring", "Disc")[i % 2], "seed": i}
    assert [(file.file, file.first, file.count) for file in done.files] == [
        ("000000.tar", 0, 4),
        ("000001.tar", 4, 4),
        ("000002.tar", 8, 2),
    ]


@given(number=st.integers(1, 3000), shard=st.integers(1, 400), seed=st.integers(0, 2**64 - 1))
def test_shards_have_every_index_once(toy_bundle, number, shard, seed):
    pictures = asked(toy_bundle, number, shard=shard, seed=seed)
    assert [i for shard in pictures.shards() for i in shard.indices] == list(range(number))
    assert pictures.seeds_of([number - 1]) == [(seed + number - 1) % 2**64]


class Interrupted(Exception):
    pass


def interrupted_after(number):
    """Make so many shards and no more."""

    def make(pictures, folder, shards, progress):
        make_here(pictures, folder, shards[:number], progress)
        raise Interrupted

    return make


def counted(seen):
    def make(pictures, folder, shards, progress):
        seen.extend(shard.number for shard in shards)
        make_here(pictures, folder, shards, progress)

    return make


@pytest.mark.parametrize("format", ["npz", "webdataset"])
def test_an_interrupted_set_goes_on_and_ends_the_same(toy_bundle, tmp_path, format):
    pictures = asked(toy_bundle, 15, format=format)
    with pytest.raises(Interrupted):
        made(pictures, tmp_path / "set", interrupted_after(2))
    seen = []
    done, fresh = made(pictures, tmp_path / "set", counted(seen))
    assert (seen, fresh) == ([2, 3], 7)
    whole, _ = made(pictures, tmp_path / "whole")
    assert done == whole  # the hashes of the files among it
    seen.clear()
    assert made(pictures, tmp_path / "set", counted(seen)) == (whole, 0)
    assert seen == []


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {"flipped": flip, "short": lambda path: os.truncate(path, path.stat().st_size - 1), "gone": os.unlink}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_made_again(toy_bundle, tmp_path, damage):
    pictures = asked(toy_bundle, 10)
    with pytest.raises(Interrupted):
        made(pictures, tmp_path / "set", interrupted_after(2))
    DAMAGES[damage](tmp_path / "set" / "parts" / "000000.npy")
    flip(tmp_path / "set" / "parts" / "000001.json")  # a record that is none
    seen = []
    done, _ = made(pictures, tmp_path / "set", counted(seen))
    assert seen == [0, 1, 2]
    DAMAGES[damage](tmp_path / "set" / "samples.npz")
    assert made(pictures, tmp_path / "set")[0] == done


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_finished_webdataset_only_the_damaged_shard_is_made_again(toy_bundle, tmp_path, damage):
    pictures = asked(toy_bundle, 10, format="webdataset")
    done, _ = made(pictures, tmp_path / "set")
    DAMAGES[damage](tmp_path / "set" / "000001.tar")
    seen = []
    assert made(pictures, tmp_path / "set", counted(seen)) == (done, 4)
    assert seen == [1]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"guidance": 1.5}, "guidance 4.0"),
        ({"seed": 1}, "seed 0"),
        ({"labels": ["Disc"]}, "labels"),
        ({"format": "webdataset"}, "format"),
        ({"number": 9}, "number 8"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_with_another_set_is_refused(toy_bundle, tmp_path, other, said, finished):
    with pytest.raises(Interrupted) if not finished else contextlib.nullcontext():
        made(asked(toy_bundle, 8), tmp_path / "set", make_here if finished else interrupted_after(1))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FdcnError, match=f"has a set with {said}.* name another folder"):
        made(asked(toy_bundle, **{"number": 8, **other}), tmp_path / "set")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_set_may_go_on_with_another_batch(toy_bundle, pipe, tmp_path):
    with pytest.raises(Interrupted):
        made(asked(toy_bundle, 8, machine=Machine(batch=3)), tmp_path / "set", interrupted_after(1))
    made(asked(toy_bundle, 8), tmp_path / "set")
    with np.load(tmp_path / "set" / "samples.npz") as archive:
        assert_same(archive["arr_0"], wanted(pipe, 8))


def test_a_folder_with_other_files_is_left_alone(toy_bundle, tmp_path):
    (tmp_path / "000000.tar").write_text("somebody's")
    with pytest.raises(FdcnError, match=r"has other files, such as 000000\.tar"):
        made(asked(toy_bundle, 2, format="webdataset"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["000000.tar"]


def test_a_command_that_failed_at_once_binds_nobody(toy_bundle, tmp_path):
    with pytest.raises(Interrupted):
        made(asked(toy_bundle, 4), tmp_path / "set", interrupted_after(0))
    assert made(asked(toy_bundle, 4, seed=1), tmp_path / "set")[1] == 4


@pytest.mark.parametrize("content", [None, "[]"])
def test_parts_of_an_unknown_request_are_left_alone(toy_bundle, tmp_path, content):
    with pytest.raises(Interrupted):
        made(asked(toy_bundle, 8), tmp_path / "set", interrupted_after(1))
    request = tmp_path / "set" / "parts" / "request.json"
    request.write_text(content) if content else request.unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FdcnError, match=r"has other files, such as parts/000000\."):
        made(asked(toy_bundle, 8, seed=1), tmp_path / "set")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_command_left_is_removed(toy_bundle, tmp_path):
    pictures = asked(toy_bundle, 8, format="webdataset")
    with pytest.raises(Interrupted):
        made(pictures, tmp_path / "set", interrupted_after(1))
    (tmp_path / "set" / ".fdcn-0123456789abcdef").write_bytes(b"half a tar file")
    made(pictures, tmp_path / "set")
    found = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert found == ["000000.tar", "000001.tar", "manifest.json"]


def test_a_bundle_that_changes_meanwhile_is_refused(toy_bundle, tmp_path):
    bundle = type(toy_bundle).open(shutil.copytree(toy_bundle.path, tmp_path / "bundle"))
    pictures = asked(bundle, 8)
    with pytest.raises(Interrupted):
        made(pictures, tmp_path / "set", interrupted_after(1))
    manifest = bundle.path / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(FdcnError, match="is not the one that this set was begun with"):
        made(pictures, tmp_path / "set")
    with pytest.raises(FdcnError, match="has a set with bundle"):
        made(asked(bundle, 8), tmp_path / "set")


def test_two_commands_do_not_fill_one_folder(toy_bundle, tmp_path):
    pictures = asked(toy_bundle, 4)
    with Folder(tmp_path / "set", pictures).held(), pytest.raises(FdcnError, match="another fdcn sample is writing"):
        made(pictures, tmp_path / "set")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["Rign"]}, "Ring"),
        ({"solver": "eular"}, "euler"),
        ({"steps": 0}, "step"),
        ({"size": (0, 8)}, "0x8"),
        ({"guidance": float("nan")}, "guidance"),
    ],
)
def test_impossible_sets_are_refused_before_anything_is_written(toy_bundle, options, said):
    with pytest.raises(FdcnError, match=said):
        asked(toy_bundle, 4, **options)


def test_a_killed_command_goes_on(toy_bundle, fdcn, tmp_path):
    words = ["sample", toy_bundle.path, "--num", 60, "--shard", 2, "--solver", "euler", "--steps", 40, "--out", "set"]
    command = [sys.executable, "-m", "fdcn.cli", *map(str, words)]
    killed = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    until = time.monotonic() + SOON
    while len(list(tmp_path.glob("set/parts/*.npy"))) < 3:
        assert time.monotonic() < until
        assert killed.poll() is None, killed.stderr.read()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    there = len(list(tmp_path.glob("set/parts/*.json"))) - 1  # beside the request
    assert 2 <= there < 30
    done = fdcn(*words)
    assert done.returncode == 0, done.stderr
    assert f"made {60 - 2 * there} that were missing of 60 pictures" in done.stdout
    assert fdcn(*words).stdout.startswith("no picture was missing of 60 pictures")


def test_a_full_disk_is_one_line(toy_bundle, fdcn, tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    words = ["sample", toy_bundle.path, "--num", 20, "--solver", "euler", "--steps", 1, "--out", "set"]
    done = fdcn(*words, preexec_fn=small_files)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write")
    assert os.strerror(errno.EFBIG) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("set/parts/.fdcn-*"))


def test_options_of_ray_want_ray(fdcn, toy_bundle):
    done = fdcn("sample", toy_bundle.path, "--num", 1, "--out", "set", "--workers", 2)
    assert (done.returncode, "add it" in done.stderr) == (2, True)


def test_a_set_can_be_sent_to_another_machine(toy_bundle):
    pictures = asked(toy_bundle, 5)
    sent = pickle.loads(pickle.dumps(pictures))
    assert isinstance(sent, SampleSet)
    assert sent.identity == pictures.identity
