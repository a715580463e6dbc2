"""The command line. Each command imports what it needs, so that help works where only click is installed."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from fdcn import DEFAULT_BUNDLE, __version__
from fdcn.sizes import format_size, parse_size
from fdcn.terminal import check_writable, named, needing, progress_bar, run_command, say

SOLVER_HELP = (
    "neural (5-10 or 15 steps), adams2, adams3, adams4, euler, heun, heun-exact; the last three also with "
    "-sde, -sde-mean or -sde-preserve at the end."
)


class Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """WIDTHxHEIGHT."""

    name = "WIDTHxHEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        try:
            return value if isinstance(value, tuple) else parse_size(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


class Interval(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """LO:HI with 0 <= LO <= HI <= 1."""

    name = "LO:HI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        with contextlib.suppress(ValueError):
            low, high = map(float, value.split(":"))
            if 0 <= low <= high <= 1:
                return low, high
        return self.fail(f"{value!r} is not LO:HI with 0 <= LO <= HI <= 1, such as 0.1:0.9", param, ctx)


BUNDLE = click.argument("bundle", type=click.Path(path_type=Path), default=DEFAULT_BUNDLE, required=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fdcn")
def cli() -> None:
    """Deploy FlowDCN: from a checkpoint to pictures of any size.

    \b
    fdcn export ckpt.pt --dynamic-shape     checkpoint to bundle (ONNX and manifest)
    fdcn build                              bundle to an engine for this machine
    fdcn run --size 512x256                 bundle to pictures

    A bundle is a folder, ./fdcn-model unless another is named.
    """


@cli.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "bundle",
    type=click.Path(path_type=Path),
    default=DEFAULT_BUNDLE,
    show_default=True,
    help="The bundle to write.",
)
@click.option("--dynamic-shape", is_flag=True, help="Any batch, height and width (the default; see --size).")
@click.option("--size", type=Size(), help="Fix the graphs to one size; batches stay dynamic.")
@click.option(
    "--weights",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="Which weights of a Lightning checkpoint.",
)
@click.option(
    "--vae", type=click.Path(path_type=Path), metavar="DIR", help="Export this diffusers AutoencoderKL's decoder too."
)
@click.option(
    "--train-size",
    type=Size(),
    help="Size in training. [default: from the checkpoint's metadata, from a bundle of the same weights, "
    "or 256x256 for 4 channels]",
)
@click.option(
    "--mixed-aspect/--one-aspect",
    default=None,
    help="Trained on mixed aspect ratios: turns the S_max adjustment off by default. "
    "[default: from the metadata, else --one-aspect]",
)
@click.option(
    "--class-names",
    metavar="FILE|imagenet",
    help="A text file with a name a line, a JSON list, or imagenet. "
    "[default: from the metadata, or imagenet for 1000 classes]",
)
def export(
    checkpoint: Path,
    bundle: Path,
    dynamic_shape: bool,
    size: tuple[int, int] | None,
    **options: Any,
) -> None:
    """Turn a checkpoint into a bundle of ONNX graphs.

    CHECKPOINT is a .pth or .pt state dict, a Lightning .ckpt or .safetensors.
    """
    if dynamic_shape and size:
        raise click.UsageError("--dynamic-shape and --size exclude each other: leave one out")
    with needing("export"):
        from fdcn.export import exporter
    exported = exporter.export(checkpoint, bundle, exporter.Options(size=size, **options), say)
    click.echo(f"wrote {exported.path}; next: fdcn build{named(exported.path)}")


@cli.command()
@BUNDLE
@click.option("--fp16", "precision", flag_value="float16", help="Half precision, for a GPU target.")
@click.option("--bf16", "precision", flag_value="bfloat16", help="bfloat16, for a GPU target.")
def build(bundle: Path, precision: str | None) -> None:
    """Prepare a bundle for this machine.

    Optimises its graphs ahead of time for the ONNX Runtime that is installed, in float32.
    """
    from fdcn.bundle import Bundle
    from fdcn.export.engine import build_onnxruntime

    built = build_onnxruntime(Bundle.open(bundle))
    if precision:
        click.echo(
            f"{precision} needs a GPU target, and this version of fdcn builds none: "
            "made the float32 engine for the CPU instead"
        )
    width, height = built.manifest.train_size
    click.echo(f"built {built.manifest.engines[-1].key}; next: fdcn run{named(bundle)} --size {2 * width}x{height}")


@cli.command()
@BUNDLE
@click.option("--size", type=Size(), help="Size of the pictures. [default: the training size]")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME|INDEX",
    help="A class; repeatable. [default: every class where there are at most 10, else class 0]",
)
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Pictures a label.")
@click.option("--seed", type=int, default=0, show_default=True, help="Picture i has seed S + i.")
@click.option("--solver", metavar="NAME", help=f"{SOLVER_HELP} [default: the bundle's, neural]")
@click.option("--steps", type=int, help="Steps of the solver. [default: the bundle's, 10, with its solver]")
@click.option(
    "--last-step", type=float, help="Length of the last step of Euler and Heun, in (0, 1). [default: 1/steps]"
)
@click.option("--guidance", type=float, help="Classifier-free guidance; 1 is none. [default: the bundle's, 4]")
@click.option(
    "--guidance-channels",
    type=click.Choice(["all", "3"]),
    default="all",
    show_default=True,
    help="Guide all channels, or the first three.",
)
@click.option(
    "--guidance-interval",
    type=Interval(),
    default="0:1",
    show_default=True,
    help="Guide only at these times, ends included (0 noise, 1 picture).",
)
@click.option(
    "--s-max-adjust/--no-s-max-adjust",
    default=None,
    help="Lengthen taps beyond the training size. [default: on for models trained at one aspect ratio]",
)
@click.option(
    "--preview-every",
    type=click.IntRange(1),
    metavar="N",
    help="Also save the predicted picture every N evaluations, as a GIF beside the output.",
)
@click.option(
    "--noise",
    type=click.Path(path_type=Path),
    metavar="FILE.npy",
    help="Initial latent [B, C, h, w] instead of the seeds'; sets size and count.",
)
@click.option(
    "--latents", type=click.Path(path_type=Path), metavar="FILE.npy", help="Also save the final latent [B, C, h, w]."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="fdcn.png",
    show_default=True,
    help="The picture to write: .png, .jpg or .webp; several pictures make a grid.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "tensorrt"]),
    default="auto",
    show_default=True,
    help="What runs the network.",
)
def run(
    bundle: Path,
    output: Path,
    latents: Path | None,
    noise: Path | None,
    backend: str,
    labels: tuple[str, ...],
    preview_every: int | None,
    **options: Any,
) -> None:
    """Sample pictures from a bundle."""
    import time

    from fdcn.runtime.arrays import read_array
    from fdcn.runtime.images import picture_format
    from fdcn.runtime.pipeline import load

    picture_format(output)
    preview = output.with_suffix(".gif") if preview_every else None
    check_writable(output, latents, preview)
    initial = read_array(noise) if noise else None
    pipe = load(bundle, backend)
    click.echo(pipe.backend.name)
    started = time.perf_counter()
    with progress_bar("sampling") as progress:
        images = pipe(
            list(labels) or None, noise=initial, preview_every=preview_every or 0, progress=progress, **options
        )
    took = time.perf_counter() - started
    for note in pipe.notes(images.request):
        click.echo(note)
    if latents:
        click.echo(f"wrote {images.save_latents(latents)}")
    if preview:
        click.echo(f"wrote {images.save_preview(preview)}")
    many = f"{len(images.pixels)} pictures" if len(images.pixels) > 1 else "one picture"
    click.echo(f"wrote {images.save(output)}: {many} of {format_size(images.request.size)} in {took:.2f} s")


@cli.command()
@BUNDLE
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def inspect(bundle: Path, as_json: bool) -> None:
    """Print and check what a bundle holds.

    Status 1 where a file is damaged.
    """
    from fdcn.bundle import Bundle
    from fdcn.errors import FdcnError
    from fdcn.inspection import file_states, print_bundle

    opened = Bundle.open(bundle)
    states = file_states(opened)
    if as_json:
        click.echo(opened.manifest.to_json())
    else:
        print_bundle(opened, states)
    damaged = [state for state in states.values() if state != "ok"]
    if damaged:
        raise FdcnError(damaged[0])


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine can do.

    And what each missing part would give, and how to install it. Status 1 where it cannot make pictures.
    """
    import json

    from fdcn import doctor

    parts = doctor.examine()
    if as_json:
        click.echo(json.dumps(doctor.as_json(parts), indent=2))
    else:
        doctor.print_report(parts)
    if not doctor.healthy(parts):
        sys.exit(1)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    For bash: eval "$(fdcn completion bash)"
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "fdcn", "_FDCN_COMPLETE").source())


def main() -> None:
    """The `fdcn` program."""
    sys.exit(run_command(cli))


if __name__ == "__main__":
    main()
