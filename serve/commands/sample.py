"""`fdcn sample`."""

from pathlib import Path
from typing import Any

import click

from fdcn.parameters import (
    ALLOW_BUNDLED_CODE,
    BACKEND,
    BUNDLE,
    GUIDANCE,
    GUIDANCE_CHANNELS,
    GUIDANCE_INTERVAL,
    S_MAX_ADJUST,
    SEED,
    SOLVER,
    STEPS,
    Size,
)
from fdcn.terminal import needing, progress_bar


@click.command()
@BUNDLE
@click.option("--num", "number", type=click.IntRange(1, 99_999_999), required=True, help="Pictures to make.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="The folder to fill. One that this command has begun is gone on with.",
)
@click.option(
    "--format",
    type=click.Choice(["npz", "webdataset"]),
    default="npz",
    show_default=True,
    help="DIR/samples.npz for the ADM evaluator, or DIR/000000.tar and so on, for WebDataset.",
)
@click.option("--size", type=Size(), help="Size of the pictures. [default: the training size]")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME|INDEX",
    help="A class; repeatable. Picture i has the i-th of them, over and over. [default: every class in turn]",
)
@SEED
@SOLVER
@STEPS
@click.option("--last-step", type=float, help="Length of the last step of Euler and Heun. [default: 1/steps]")
@GUIDANCE
@GUIDANCE_CHANNELS
@GUIDANCE_INTERVAL
@S_MAX_ADJUST
@click.option(
    "--shard",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Pictures that are written together: what an interruption loses at most, for each worker.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Most pictures that are sampled together. [default: what suits the machine]",
)
@BACKEND
@click.option("--device", type=click.IntRange(0), metavar="N", help="The GPU, by CUDA's number. [default: the first]")
@ALLOW_BUNDLED_CODE
@click.option(
    "--ray",
    is_flag=True,
    help="Share the work among the machines of a Ray cluster: that of RAY_ADDRESS, one that runs here, or this "
    "machine. All must see the bundle and DIR at the same paths.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Of --ray: processes that sample. [default: one a GPU that the cluster has, else one a machine]",
)
@click.option(
    "--gpus", type=click.FloatRange(0), metavar="X", help="Of --ray: GPUs a worker, as 0.5. [default: 1 or 0]"
)
@click.option("--cpus", type=click.FloatRange(0), metavar="X", help="Of --ray: CPUs a worker. [default: 1]")
def sample(
    bundle: Path,
    out: Path,
    device: int | None,
    allow_bundled_code: bool,
    batch: int | None,
    ray: bool,
    workers: int | None,
    gpus: float | None,
    cpus: float | None,
    **options: Any,
) -> None:
    """Sample a large set of pictures into a folder, to evaluate a model by.

    Picture i depends on its class and on seed S + i alone. What was interrupted goes on where it was; the end checks
    that every picture is there once and writes DIR/manifest.json.
    """
    if not ray and (workers, gpus, cpus) != (None, None, None):
        raise click.UsageError("--workers, --gpus and --cpus are of --ray: add it, or leave them out")
    from fdcn.serve.sets.sample import make_here
    from fdcn.serve.sets.sample import sample as made
    from fdcn.serve.sets.sample_set import Machine, resolve_set

    make = make_here
    if ray:
        with needing("ray"):
            from fdcn.serve.on_ray.workers import Workers
        make = Workers(workers, gpus, cpus).make
    pictures = resolve_set(bundle, machine=Machine(device, allow_bundled_code, batch), **options)
    with progress_bar("sampling") as progress:
        done, fresh = made(pictures, out, make, progress)
    number = f"{pictures.number:,} pictures"
    what = f"wrote {number}" if fresh == pictures.number else f"made {fresh:,} that were missing of {number}"
    files = done.files[0].file + (f" to {done.files[-1].file}" if len(done.files) > 1 else "")
    click.echo(f"{what if fresh else f'no picture was missing of {number}'} in {out}: {files} and manifest.json")
