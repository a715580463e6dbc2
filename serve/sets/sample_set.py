"""What a set of pictures is: which picture has which index, and which indices share a file."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from fdcn.bundle import MANIFEST, Bundle, sha256
from fdcn.errors import FdcnError
from fdcn.runtime.plan import sampler_plan
from fdcn.runtime.request import SEED_RANGE, Request, label_index, label_names, resolve
from fdcn.sizes import format_size

Format = Literal["npz", "webdataset"]


@dataclasses.dataclass(frozen=True)
class Machine:
    """How a process samples: pictures are the same up to rounding, so a set may be continued with another of these."""

    device: int | None = None
    allow_bundled_code: bool = False
    batch: int | None = None
    """Most pictures that are sampled together; as many as suit the machine by default."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """Pictures that are made together, whole or not at all."""

    number: int
    first: int
    count: int

    @property
    def indices(self) -> range:
        """Of its pictures, in order."""
        return range(self.first, self.first + self.count)


@dataclasses.dataclass(frozen=True)
class SampleSet:
    """Picture i has class `labels[i % len(labels)]` and seed `seed + i`. It can be pickled."""

    bundle: Path
    reads: str
    """SHA-256 of the bundle's manifest, which has that of every other file."""
    backend: str
    number: int
    labels: tuple[int, ...]
    names: tuple[str, ...]
    """Of `labels`."""
    seed: int
    size: tuple[int, int]
    """Width and height in pixels."""
    options: tuple[tuple[str, Any], ...]
    """Of the solver and guidance, complete: further arguments of `Pipeline.__call__`."""
    format: Format
    shard: int
    """Pictures a shard."""
    machine: Machine

    def shards(self) -> Iterator[Shard]:
        """All of them, in order; the last may be shorter."""
        for number, first in enumerate(range(0, self.number, self.shard)):
            yield Shard(number, first, min(self.shard, self.number - first))

    def labels_of(self, indices: Sequence[int]) -> list[int]:
        """The classes of pictures."""
        return [self.labels[i % len(self.labels)] for i in indices]

    def seeds_of(self, indices: Sequence[int]) -> list[int]:
        """The seeds of pictures."""
        return [(self.seed + i) % SEED_RANGE for i in indices]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all pictures, [N, H, W, 3]: gray ones have three equal channels, as evaluators want them."""
        return self.number, self.size[1], self.size[0], 3

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """All that the pictures and their files follow from, as values of JSON."""
        return {
            "bundle": self.reads,
            "backend": self.backend,
            "number": self.number,
            "labels": list(self.names),
            "seed": self.seed,
            "size": format_size(self.size),
            **json.loads(json.dumps(dict(self.options))),
            "format": self.format,
            "shard": self.shard,
        }

    def opened(self) -> Bundle:
        """The bundle. Raises FdcnError where it is not the one that the set was begun with."""
        found = sha256_of_bundle(self.bundle)
        if found != self.reads:
            raise FdcnError(
                f"the bundle {self.bundle} is not the one that this set was begun with (its manifest is "
                f"{found[:12]} and was {self.reads[:12]}); put that back, or begin a new set in another folder"
            )
        return Bundle.open(self.bundle)


def resolve_set(
    bundle: Path,
    *,
    number: int,
    labels: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    seed: int = 0,
    backend: str = "auto",
    format: Format = "npz",
    shard: int = 1000,
    machine: Machine | None = None,
    **options: Any,
) -> SampleSet:
    """Check what is asked for against a bundle, and complete it. Raises FdcnError where it is impossible."""
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    chosen = [label_index(manifest, label) for label in labels] or range(manifest.model.classes)
    one = resolve(manifest, labels=list(chosen[:1]), size=size, seed=seed, **options)
    # Before anything is written or sent to another machine: a solver or its steps may be impossible.
    blocks, reach = manifest.model.blocks, manifest.sampling.reach
    sampler_plan(one.solver, one.steps, blocks=blocks, last_step=one.last_step, guidance=one.guidance, reach=reach)
    return SampleSet(
        bundle=bundle.absolute(),
        reads=sha256_of_bundle(bundle),
        backend=backend,
        number=number,
        labels=tuple(chosen),
        names=tuple(label_names(manifest, chosen)),
        seed=one.seeds[0],
        size=one.size,
        options=_complete(one),
        format=format,
        shard=shard,
        machine=machine or Machine(),
    )


def sha256_of_bundle(bundle: Path) -> str:
    """Hex digest of a bundle's manifest. Raises FdcnError where there is none."""
    try:
        return sha256(bundle / MANIFEST)
    except OSError:
        Bundle.open(bundle)  # says what is wrong with it
        raise


def _complete(one: Request) -> tuple[tuple[str, Any], ...]:
    return (
        ("solver", one.solver),
        ("steps", one.steps),
        ("last_step", one.last_step),
        ("guidance", one.guidance.scale),
        ("guidance_channels", one.guidance.channels),
        ("guidance_interval", one.guidance.interval),
        ("s_max_adjust", one.s_max_adjust),
    )
