"""Fashion-MNIST (MIT licence) from Debian's package `dataset-fashion-mnist`, and its pictures at other sizes."""

import gzip
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FOLDER = Path("/usr/share/datasets/fashion-mnist")


def load(split: str, folder: Path = FOLDER) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [N, 1, 28, 28] and labels int64 [N] of "train" (60,000) or "test" (10,000)."""
    prefix = {"train": "train", "test": "t10k"}[split]
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing: apt-get install dataset-fashion-mnist, or name a folder with --data")
    pictures = _idx(folder / f"{prefix}-images-idx3-ubyte.gz", header=16)
    labels = _idx(folder / f"{prefix}-labels-idx1-ubyte.gz", header=8)
    return torch.from_numpy(pictures.reshape(-1, 1, 28, 28)), torch.from_numpy(labels.astype(np.int64))


def resize(pictures: Tensor, width: int, height: int) -> Tensor:
    """Stretch float pictures [N, C, H, W] to a size, averaging where they shrink."""
    if pictures.shape[2:] == (height, width):
        return pictures
    return F.interpolate(pictures, (height, width), mode="bilinear", antialias=True, align_corners=False)


def _idx(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).copy()
