"""The files of a set of pictures: a part or a tar file a shard, and NumPy's archive of all of them."""

import concurrent.futures
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from fdcn.serve.sets.sample_set import SampleSet, Shard

BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time in every archive, the earliest that ZIP knows: equal pictures give equal files."""
COPIED = 1 << 20
"""Bytes at a time."""


def write_part(file: BinaryIO, pixels: np.ndarray) -> None:
    """Pictures of a shard as .npy."""
    # Not `write_array`, whose error on a full disk is a number of bytes.
    header = {"descr": "|u1", "fortran_order": False, "shape": pixels.shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.write(np.ascontiguousarray(pixels).data)


def write_archive(file: BinaryIO, pictures: SampleSet, parts: Iterable[Path]) -> None:
    """All pictures as the .npz of the ADM evaluator, from parts, of which a piece is in memory at a time.

    `arr_0` is uint8 [N, H, W, 3], and `arr_1` the classes, int64 [N].
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open(zipfile.ZipInfo("arr_0.npy", BEGINNING), "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": pictures.shape}
            np.lib.format.write_array_header_1_0(member, header)
            for path in parts:
                with path.open("rb") as part:
                    _skip_header(part)
                    shutil.copyfileobj(part, member, COPIED)
        with archive.open(zipfile.ZipInfo("arr_1.npy", BEGINNING), "w") as member:
            labels = np.asarray(pictures.labels_of(range(pictures.number)), np.int64)
            np.lib.format.write_array(member, labels, version=(1, 0), allow_pickle=False)


def _skip_header(part: BinaryIO) -> None:
    np.lib.format.read_magic(part)
    np.lib.format.read_array_header_1_0(part)


def write_tar(file: BinaryIO, pictures: SampleSet, shard: Shard, pixels: np.ndarray) -> None:
    """A shard as WebDataset's: of each picture INDEX.png, INDEX.cls with its class, INDEX.json with the rest."""
    labels, seeds = pictures.labels_of(shard.indices), pictures.seeds_of(shard.indices)
    names = dict(zip(pictures.labels, pictures.names, strict=True))
    with (
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,  # Pillow compresses without Python's lock
    ):
        for i, label, seed, png in zip(shard.indices, labels, seeds, pool.map(_png, pixels), strict=True):
            about = {"index": i, "class": label, "name": names[label], "seed": seed}
            _add(archive, f"{key(i)}.png", png)
            _add(archive, f"{key(i)}.cls", str(label).encode())
            _add(archive, f"{key(i)}.json", json.dumps(about, ensure_ascii=False).encode())


def key(index: int) -> str:
    """What a picture is called in WebDataset's shards."""
    return f"{index:08d}"


def keys(path: Path) -> list[str]:
    """The names in a tar file, in order. Raises OSError or tarfile.TarError where it cannot be read."""
    with tarfile.open(path) as archive:
        return archive.getnames()


def keys_wanted(indices: Sequence[int]) -> list[str]:
    """The names that a shard with those pictures has."""
    return [f"{key(i)}.{ending}" for i in indices for ending in ("png", "cls", "json")]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
