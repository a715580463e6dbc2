"""Making a set of pictures, in this process; `on_ray` makes one on many machines."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fdcn import __version__
from fdcn.runtime.pipeline import Pipeline
from fdcn.serve.sets.folder import Done, Folder
from fdcn.serve.sets.sample_set import SampleSet, Shard

Progress = Callable[[int, int], None]
"""Told how many pictures are done, and how many there are."""
Make = Callable[[SampleSet, Folder, Sequence[Shard], Progress], None]
"""Makes shards, in any order; the progress counts their pictures alone."""


def sample(pictures: SampleSet, out: Path, make: Make, progress: Progress) -> tuple[Done, int]:
    """Bring a folder to hold a set of pictures, and return what it then has and how many of them were made now.

    What is there already stays. Raises FdcnError where the folder has something else, or cannot be written.
    """
    folder = Folder(out.absolute(), pictures)
    with folder.held():
        if done := folder.done():
            folder.tidy()
            return done, 0
        weights = pictures.opened().manifest.model.weights_sha256  # now: hours later it may be another bundle
        missing = folder.missing()
        wanted = sum(shard.count for shard in missing)
        there = pictures.number - wanted
        if missing:
            make(pictures, folder, missing, lambda done, total: progress(there + done, pictures.number))
        return folder.finish(__version__, weights), wanted


def make_here(pictures: SampleSet, folder: Folder, shards: Sequence[Shard], progress: Progress) -> None:
    """Make shards in this process, one after the other."""
    total, before = sum(shard.count for shard in shards), 0
    with ShardMaker(pictures, folder) as maker:
        for shard in shards:

            def part(share: float, shard: Shard = shard, before: int = before) -> None:
                progress(before + int(share * shard.count), total)

            maker.make(shard, part)
            before += shard.count


class ShardMaker:
    """An open pipeline, and the folder that its pictures go to. `with` closes it at the end."""

    def __init__(self, pictures: SampleSet, folder: Folder) -> None:
        self._pictures, self._folder = pictures, folder
        machine = pictures.machine
        self._pipe = Pipeline(
            pictures.opened(), pictures.backend, device=machine.device, allow_bundled_code=machine.allow_bundled_code
        )

    def make(self, shard: Shard, progress: Callable[[float], None] = lambda share: None) -> None:
        """Make the pictures of a shard and write them; the progress is told which share of them is done."""
        at_once = self._pictures.machine.batch or shard.count
        made = []
        for start in range(0, shard.count, at_once):
            indices = shard.indices[start : start + at_once]

            def evaluated(done: int, total: int, start: int = start, count: int = len(indices)) -> None:
                progress((start + count * done / total) / shard.count)

            made.append(self._sampled(indices, evaluated))
        pixels = np.concatenate(made)
        self._folder.write(shard, np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels, self.backend)

    @property
    def backend(self) -> str:
        """What makes the pictures."""
        return self._pipe.backend.name

    def __enter__(self) -> "ShardMaker":
        return self

    def __exit__(self, *exception: object) -> None:
        self._pipe.close()

    def _sampled(self, indices: Sequence[int], progress: Callable[[int, int], None]) -> np.ndarray:
        p = self._pictures
        images = self._pipe(
            p.labels_of(indices), seeds=p.seeds_of(indices), size=p.size, progress=progress, **dict(p.options)
        )
        return images.pixels
