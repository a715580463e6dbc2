"""The command line. Each command imports what it needs, so that help works where only click is installed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fdcn import DEFAULT_BUNDLE, __version__
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
    Architectures,
    ProfileRange,
    Size,
)
from fdcn.serve.commands.package import package
from fdcn.serve.commands.sample import sample
from fdcn.serve.commands.serve import serve
from fdcn.sizes import format_size
from fdcn.terminal import check_writable, named, needing, progress_bar, run_command, say

if TYPE_CHECKING:
    from fdcn.bundle import Bundle
    from fdcn.runtime.backends.base import Backend

SOLVER_HELP = (
    "neural (5-10 or 15 steps), adams2, adams3, adams4, euler, heun, heun-exact; the last three also with "
    "-sde, -sde-mean or -sde-preserve at the end."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fdcn")
def cli() -> None:
    """Deploy FlowDCN: from a checkpoint to pictures of any size.

    \b
    fdcn export ckpt.pt --dynamic-shape     checkpoint to bundle (ONNX and manifest)
    fdcn build --fp16                       bundle to an engine for this machine
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
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Pictures to sample, of all classes in turn.",
)
@click.option(
    "--size",
    "--sizes",
    "sizes",
    type=Size(),
    multiple=True,
    help="Size of the pictures; repeatable. [default: the training size, twice its width and twice its height]",
)
@SOLVER
@STEPS
@GUIDANCE
@SEED
@click.option(
    "--method",
    type=click.Choice(["percentile", "mse"]),
    default="mse",
    show_default=True,
    help="How a range is chosen: so that it holds 99.99% of the values, or so that the squared error is least.",
)
@click.option(
    "--keep",
    default="auto",
    show_default=True,
    metavar="auto|none|LIST",
    help="Products that stay in high precision beside the first and the last: the most sensitive until the budget "
    "holds, none, or names and globs with commas between, as blocks.*.out.",
)
@click.option(
    "--budget",
    default="45dB",
    show_default=True,
    metavar="NUMBERdB|NUMBERx",
    help="Of --keep auto: the least PSNR of the network's output, or the least speed on this machine over float32.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw every layer's range over the timesteps."
)
def calibrate(
    bundle: Path,
    samples: int,
    sizes: tuple[tuple[int, int], ...],
    seed: int,
    method: str,
    keep: str,
    budget: str,
    plot: Path | None,
    **options: Any,
) -> None:
    """Measure a bundle on real trajectories, and find out how to quantise it.

    Samples pictures with the network as exported, in float32, and measures what its matrix products read at each
    timestep. From that follow the ranges for INT8 and FP8, and which products stay in high precision. All of it goes
    into the bundle, for fdcn build --int8 and --fp8. What was interrupted goes on where it was.
    """
    from fdcn.bundle import Bundle

    check_writable(plot)
    with needing("export"):
        from fdcn.calib import calibrate as calibration
        from fdcn.calib import trajectories
        from fdcn.calib.progress import Stages
        from fdcn.calib.search import Options
    with needing("verify"):
        if plot:
            from fdcn.calib.plot import save as save_plot
    opened = Bundle.open(bundle)
    settings = trajectories.resolve(opened.manifest, samples, sizes, seed=seed, **options)
    asked = Options(method, keep, budget, settings.solver, settings.steps, settings.guidance, settings.seed)
    with Stages(progress_bar) as stages:

        def found(line: str) -> None:
            stages.end()
            say(line)

        made = calibration.calibrate(opened, settings, asked, stages, found)
    click.echo("\n".join(calibration.describe(made)))
    if plot:
        save_plot(made.statistics, plot)
        click.echo(f"wrote {plot}")
    there = named(bundle)
    click.echo(f"next: fdcn build{there} --int8, or for a GPU fdcn build{there} --int8 --gpu sm_86, --fp8 --gpu sm_89")


@cli.command()
@BUNDLE
@click.option("--fp16", "precision", flag_value="float16", help="Half precision, for a GPU. [default: float32]")
@click.option("--bf16", "precision", flag_value="bfloat16", help="bfloat16, for a GPU.")
@click.option(
    "--int8",
    "precision",
    flag_value="int8",
    help="Matrix products of eight-bit integers, as fdcn calibrate has found them to do no harm; for GPUs and CPUs.",
)
@click.option(
    "--fp8", "precision", flag_value="fp8", help="The same with eight-bit floats (E4M3), for GPUs from sm_89 on."
)
@click.option(
    "--gpu",
    "compute",
    type=Architectures(),
    help="Build for machines with these GPUs, on any machine, by TensorRT-RTX: one engine for all of them. "
    "[default: the GPU of this machine]",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "tensorrt"]),
    default="auto",
    show_default=True,
    help="What is to run the engine; auto is tensorrt where there is a GPU.",
)
@click.option(
    "--flavour",
    type=click.Choice(["tensorrt", "tensorrt-rtx"]),
    help="Which TensorRT. [default: RTX with --gpu, else the one that is installed, tensorrt first]",
)
@click.option(
    "--profile",
    "profiles",
    type=ProfileRange(),
    multiple=True,
    help="Sizes that the engine takes and the one it is tuned for, as 256x256:512x512:1024x1024x16; repeatable. "
    "xN is a batch, in rows of the network: a guided picture takes two. "
    "[default: a third to three times the training size, batch 1 to 8]",
)
@click.option(
    "--plugin",
    type=click.Choice(["auto", "library", "python", "aot", "none"]),
    default="auto",
    show_default=True,
    help="What runs the operator: the compiled library, a kernel compiled from Python, one embedded in the engine, or "
    "TensorRT's own operators. auto takes the first of library and python that is there, else none.",
)
@click.option(
    "--workspace", type=click.IntRange(1), metavar="MIB", help="Most scratch memory of a layer. [default: no limit]"
)
@click.option("--refit", is_flag=True, help="Let fdcn update exchange the weights later; needs a GPU here.")
def build(bundle: Path, compute: tuple[str, ...] | None, backend: str, **options: Any) -> None:
    """Prepare a bundle for this machine, or with --gpu for others.

    For a GPU, builds an engine with TensorRT. Without one, prepares the graphs for the ONNX Runtime that is installed,
    in float32 or INT8. fdcn run takes what was built last.
    """
    from fdcn import gpu
    from fdcn.bundle import Bundle

    opened = Bundle.open(bundle)
    if compute and backend == "onnxruntime":
        raise click.UsageError("--gpu takes TensorRT: leave out --backend onnxruntime")
    if backend == "tensorrt" or compute or (backend == "auto" and gpu.first() is not None):
        _build_tensorrt(opened, compute or (), **options)
    else:
        _build_onnxruntime(opened, **options)


def _build_tensorrt(bundle: "Bundle", compute: tuple[str, ...], **options: Any) -> None:
    with needing("export"):
        from fdcn.export.quantised import summary
        from fdcn.export.tensorrt_engine import build
        from fdcn.export.tensorrt_target import Options

        options["precision"] = options["precision"] or "float32"
        options["workspace"] = options["workspace"] and options["workspace"] << 20
        options["profiles"] = tuple(options["profiles"])
        with progress_bar("building") as progress:
            built = build(bundle, Options(compute=compute, **options), progress)
    assert built.engine.target is not None
    sizes = " ".join(map(str, built.engine.target.profiles))
    operator = f"operator: {built.engine.target.plugin.kind}"
    click.echo(f"{'built' if built.fresh else 'nothing to do, there is'} {built.engine.key} for {sizes}; {operator}")
    if built.recipe:
        click.echo(f"in the parsed network: {summary(built.recipe)}")
    there = "on a machine with that GPU: " if compute else ""
    width, height = bundle.manifest.train_size
    click.echo(f"next: {there}fdcn run{named(bundle.path)} --size {2 * width}x{height}")


def _build_onnxruntime(bundle: "Bundle", precision: str | None, **options: Any) -> None:
    from fdcn.errors import FdcnError
    from fdcn.export import engine

    for_gpu = [f"--{name}" for name in ("flavour", "workspace", "refit") if options[name]]
    for_gpu += ["--profile"] * bool(options["profiles"]) + ["--plugin"] * (options["plugin"] != "auto")
    if for_gpu:
        raise click.UsageError(f"{for_gpu[0]} is for a GPU, and there is none here: name one, as --gpu sm_86")
    if precision == "fp8":
        raise FdcnError(
            f"FP8 needs a GPU target, and no GPU is here: fdcn build{named(bundle.path)} --fp8 --gpu sm_89; "
            "or take --int8, which a CPU has too"
        )
    if precision == "int8":
        with needing("export"):
            from fdcn.export.quantised import find, summary
            from fdcn.export.quantised_graphs import int8
        found = find(bundle, precision)
        there = engine.standing(bundle, found.sha256)
        bundle = engine.newest(bundle, there) if there else engine.build_onnxruntime(bundle, quantise=int8)
        click.echo(summary(found.recipe))
    else:
        there = engine.standing(bundle)
        bundle = engine.newest(bundle, there) if there else engine.build_onnxruntime(bundle)
        if precision:
            instead = "made the float32 engine for the CPU instead"
            click.echo(f"{precision} needs a GPU target, and no GPU is here: {instead}")
        short = {"bfloat16": "--bf16"}.get(precision or "", "--fp16")
        click.echo(f"for a GPU of another machine: fdcn build{named(bundle.path)} {short} --gpu sm_86")
    built = bundle.manifest.engines[-1]
    width, height = bundle.manifest.train_size
    done = "nothing to do, there is" if there else "built"
    click.echo(f"{done} {built.key}; next: fdcn run{named(bundle.path)} --size {2 * width}x{height}")


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="Which weights of a Lightning checkpoint.",
)
def update(bundle: Path, checkpoint: Path, weights: str) -> None:
    """Put new weights of the same architecture into a bundle.

    Graphs and engines get the weights of CHECKPOINT without being exported and built again; training size, class names
    and other settings stay. An engine that cannot be changed here is dropped, with the command that builds it again.
    """
    with needing("export"):
        from fdcn.export.update import update
    with progress_bar("updating") as progress:
        updated = update(bundle, checkpoint, weights, progress, say)  # type: ignore[arg-type]
    click.echo(f"wrote {updated.path}; next: fdcn run{named(updated.path)}")


@cli.group("bundle")
def bundles() -> None:
    """Work on whole bundles."""


@bundles.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The bundle to write. [default: FIRST]")
def merge(first: Path, second: Path, output: Path | None) -> None:
    """Join the engines of two bundles of the same weights and graphs.

    Of two engines for one target, that of SECOND is taken.
    """
    from fdcn.export.merge import merge

    merged = merge(first, second, output)
    engines = ", ".join(engine.key for engine in merged.manifest.engines) or "none"
    click.echo(f"wrote {merged.path}; engines: {engines}")


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
@SEED
@click.option("--solver", metavar="NAME", help=f"{SOLVER_HELP} [default: the bundle's, neural]")
@click.option("--steps", type=int, help="Steps of the solver. [default: the bundle's, 10, with its solver]")
@click.option(
    "--last-step", type=float, help="Length of the last step of Euler and Heun, in (0, 1). [default: 1/steps]"
)
@click.option("--guidance", type=float, help="Classifier-free guidance; 1 is none. [default: the bundle's, 4]")
@GUIDANCE_CHANNELS
@GUIDANCE_INTERVAL
@S_MAX_ADJUST
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
@BACKEND
@click.option(
    "--device",
    type=click.IntRange(0),
    metavar="N",
    help="The GPU to run on, by CUDA's number, for TensorRT. [default: the first, 0]",
)
@click.option(
    "--build-if-missing",
    is_flag=True,
    help="On a GPU that the bundle has no engine for, build one, once for all who share the user's cache.",
)
@ALLOW_BUNDLED_CODE
def run(
    bundle: Path,
    output: Path,
    latents: Path | None,
    noise: Path | None,
    backend: str,
    device: int | None,
    build_if_missing: bool,
    allow_bundled_code: bool,
    labels: tuple[str, ...],
    preview_every: int | None,
    **options: Any,
) -> None:
    """Sample pictures from a bundle."""
    import time

    from fdcn.runtime.arrays import read_array
    from fdcn.runtime.images import picture_format
    from fdcn.runtime.pipeline import Pipeline

    picture_format(output)
    preview = output.with_suffix(".gif") if preview_every else None
    check_writable(output, latents, preview)
    initial = read_array(noise) if noise else None
    pipe = Pipeline(*_opened(bundle, backend, build_if_missing, allow_bundled_code, device))
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


def _opened(
    path: Path, backend: str, build_if_missing: bool, allow_bundled_code: bool, device: int | None = None
) -> "tuple[Bundle, Backend]":
    """A bundle and the backend that runs it; with an engine for this machine's GPU in it, if that is wanted."""
    from fdcn import gpu
    from fdcn.bundle import Bundle
    from fdcn.runtime.backends import open_backend

    bundle = Bundle.open(path)
    if build_if_missing and device:
        raise click.UsageError(
            f"--build-if-missing builds for the first GPU: set CUDA_VISIBLE_DEVICES={device}, without --device {device}"
        )
    first = gpu.first() if build_if_missing and backend != "onnxruntime" else None
    if first is not None:
        from fdcn.runtime.backends import choice

        engines = [engine for engine in bundle.manifest.engines if engine.backend == choice.NAME]
        machine = choice.survey(first, engines)
        if all(choice.obstacle(path, engine, machine, allow_bundled_code) for engine in engines):
            with needing("export"):
                from fdcn.export.on_demand import with_engine

                with progress_bar("building") as progress:
                    bundle = with_engine(bundle, progress, say)
    return bundle, open_backend(bundle, backend, allow_bundled_code, device)


@cli.command()
@BUNDLE
@click.option(
    "--against",
    metavar="NAME",
    default="onnxruntime-portable",
    show_default=True,
    help="What is right: the exported graphs in float32, of standard operators alone, unless another is named.",
)
@click.option(
    "--candidate",
    "candidates",
    metavar="NAME",
    default=["auto"],
    multiple=True,
    help="What is compared with it; repeatable: auto, onnxruntime or tensorrt as in fdcn run, onnxruntime-fp16, -int8 "
    "or -fp8 (the graphs in that precision, on the CPU), or the key of an engine. [default: auto]",
)
@click.option(
    "--size",
    "sizes",
    type=Size(),
    multiple=True,
    help="A size of the pictures; repeatable. [default: the training size, and twice as wide]",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME|INDEX",
    help="A class; repeatable. [default: every class where there are at most 10, else class 0]",
)
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Pictures a label.")
@SEED
@SOLVER
@STEPS
@GUIDANCE
@click.option(
    "--classifier",
    type=click.Path(path_type=Path),
    metavar="FILE.onnx",
    help="Also judge many pictures by what this says of them, beside real ones; takes --reference.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="What the classifier says of real pictures.",
)
@click.option(
    "--pictures",
    type=click.IntRange(100),
    default=10_000,
    show_default=True,
    help="How many are judged, of each contender and size. [size: the training size, unless --size is given]",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all numbers.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Draw the velocity's differences over the steps.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write a report: the numbers, their plots, and pictures side by side.",
)
@ALLOW_BUNDLED_CODE
def verify(
    bundle: Path,
    against: str,
    candidates: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    labels: tuple[str, ...],
    classifier: Path | None,
    reference: Path | None,
    pictures: int,
    json_file: Path | None,
    plot: Path | None,
    html: Path | None,
    allow_bundled_code: bool,
    **options: Any,
) -> None:
    """Compare what backends of a bundle compute.

    The operator alone; then the network at each step, all on the reference's latents; then the pictures that each
    samples by itself; and with --classifier how good many of them are. Status 1 where a candidate is further off than
    its precision explains.
    """
    import tempfile

    from fdcn import cache
    from fdcn.bundle import Bundle
    from fdcn.errors import FdcnError

    if (classifier is None) != (reference is None):
        raise click.UsageError(
            "--classifier FILE.onnx and --reference FILE.npz go together; what is right is named by --against NAME"
        )
    check_writable(json_file, plot, html)
    with needing("verify"):
        from fdcn.verify import contenders, judged, ladder, page, table

        if plot:
            from fdcn.verify.plot import save as save_plot
    opened = Bundle.open(bundle)
    request = {"labels": list(labels) or None, **options}
    judge = None
    if classifier and reference:
        judge = judged.open_judge(opened, classifier, reference, pictures, cache.folder())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        first, others = contenders.open_all(opened, against, candidates, Path(folder), allow_bundled_code)
        with progress_bar("verifying") as progress:
            report = ladder.compare(opened, first, others, request, sizes, progress)
        if judge:
            with progress_bar("judging pictures") as progress:
                report = judged.with_distribution(report, opened, [first, *others], judge, request, sizes, progress)
    table.print_report(report)
    if json_file:
        report.save(json_file)
        click.echo(f"wrote {json_file}")
    if plot:
        save_plot(report, plot)
        click.echo(f"wrote {plot}")
    if html:
        page.save(report, opened, html)
        click.echo(f"wrote {html}")
    if not report.passed:
        raise FdcnError(f"{report.verdict()}; build it again, or in another precision")
    click.echo(report.verdict())


@cli.command()
@BUNDLE
@click.option(
    "--size", "sizes", type=Size(), multiple=True, help="Size of the pictures; repeatable. [default: the training size]"
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1),
    multiple=True,
    help="Pictures at once; repeatable. [default: 1 and 4]",
)
@SOLVER
@STEPS
@click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "tensorrt"]),
    default="auto",
    show_default=True,
    help="What runs the network. Of TensorRT, every engine that this machine can load.",
)
@click.option(
    "--engine",
    "engines",
    metavar="KEY",
    multiple=True,
    help="Only this engine of the bundle, or portable for the graphs as exported; repeatable.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    help="About how long each thing is timed, at least three times.",
)
@click.option("--repeats", type=click.IntRange(1), metavar="N", help="Time each thing N times instead.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all numbers.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw them.")
@click.option(
    "--compare",
    type=(click.Path(path_type=Path), click.Path(path_type=Path)),
    metavar="A.json B.json",
    help="Measure nothing: say how many times as fast B is.",
)
@ALLOW_BUNDLED_CODE
def bench(
    bundle: Path,
    sizes: tuple[tuple[int, int], ...],
    batches: tuple[int, ...],
    solver: str | None,
    steps: int | None,
    backend: str,
    engines: tuple[str, ...],
    seconds: float,
    repeats: int | None,
    json_file: Path | None,
    plot: Path | None,
    compare: tuple[Path, Path] | None,
    allow_bundled_code: bool,
) -> None:
    """Measure time and memory: the network alone, and from labels to encoded pictures.

    Beside what this machine does at its best, and only after the results were compared with the exported graphs'.
    Status 1 where they differ by more than the precision explains; that has no times.
    """
    from fdcn.bench import cases, report, subjects, table

    if compare:
        from fdcn.bench.compare import print_comparison

        if json_file or plot:
            raise click.UsageError("--compare measures nothing: leave out --json and --plot")
        print_comparison(report.load(compare[0]), report.load(compare[1]))
        return
    from fdcn.bench import run as runs
    from fdcn.bench.timing import Pace
    from fdcn.bundle import Bundle
    from fdcn.errors import FdcnError

    check_writable(json_file, plot)
    with needing("verify"):
        if plot:
            from fdcn.bench.plot import save as save_plot
    opened = Bundle.open(bundle)
    chosen = subjects.find(opened, backend, engines, allow_bundled_code)
    wanted = cases.make(opened, sizes, batches, solver, steps)
    with progress_bar("measuring") as progress:
        measured = runs.run(opened, chosen, wanted, Pace(seconds, repeats), progress)
    table.print_report(measured)
    if json_file:
        measured.save(json_file)
        click.echo(f"wrote {json_file}")
    if plot:
        save_plot(measured, plot)
        click.echo(f"wrote {plot}")
    if measured.failures:
        raise FdcnError(f"not timed: {'; '.join(measured.failures)}. Where it differs: fdcn verify{named(bundle)}")


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


for command in (serve, sample, package):
    cli.add_command(command)


def main() -> None:
    """The `fdcn` program."""
    sys.exit(run_command(cli))


if __name__ == "__main__":
    main()
