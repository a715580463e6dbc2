"""`fdcn package`."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fdcn.parameters import ALLOW_BUNDLED_CODE, BACKEND, BUNDLE, Size
from fdcn.serve.settings import Settings
from fdcn.sizes import format_size


@click.command()
@BUNDLE
@click.option(
    "--triton",
    "repository",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    required=True,
    help="The model repository of NVIDIA's Triton Inference Server to write it into; made where it is not there.",
)
@click.option("--name", metavar="NAME", help="Of the model in the repository. [default: that of the bundle's folder]")
@click.option(
    "--layout",
    type=click.Choice(["python", "tensorrt"]),
    default="python",
    show_default=True,
    help="The sampler in Triton's Python backend, or the bundle's TensorRT engines alone, a model each.",
)
@BACKEND
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    default=Settings.max_batch,
    show_default=True,
    help="Most pictures that are sampled together.",
)
@click.option(
    "--max-delay-ms",
    type=click.FloatRange(0, 60_000),
    default=1000 * Settings.max_delay,
    show_default=True,
    help="Milliseconds that a request may wait for others to fill its batch.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(1),
    default=Settings.max_queue,
    show_default=True,
    help="Most requests that wait; Triton refuses more.",
)
@click.option(
    "--max-size", type=Size(), default=format_size(Settings.max_size), show_default=True, help="Largest picture."
)
@click.option(
    "--deadline",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=Settings.deadline,
    show_default=True,
    metavar="SECONDS",
    help="A request that has waited so long is refused.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(1),
    default=Settings.max_steps,
    show_default=True,
    help="Most evaluations for a picture.",
)
@click.option(
    "--instances", type=click.IntRange(1), default=1, show_default=True, help="Copies of the model: on each GPU."
)
@click.option("--stream", is_flag=True, help="Answer by several responses: progress and previews, then the pictures.")
@ALLOW_BUNDLED_CODE
@click.pass_context
def package(
    context: click.Context,
    /,
    bundle: Path,
    repository: Path,
    name: str | None,
    layout: str,
    max_delay_ms: float,
    instances: int,
    stream: bool,
    **options: Any,
) -> None:
    """Write a bundle as a model of NVIDIA's Triton Inference Server."""
    from fdcn.bundle import Bundle
    from fdcn.serve.tritonserver import plans, readme
    from fdcn.serve.tritonserver.config import Layout
    from fdcn.serve.tritonserver.repository import write_python

    opened, name = Bundle.open(bundle), name or bundle.resolve().name
    if layout == "tensorrt":
        _refuse_others(context)
        models = plans.write_plans(repository, name, opened)
        guide = readme.for_plans(models, opened)
    else:
        # Triton counts requests, and bounds the pictures of one by the batch.
        settings = Settings(bundle=bundle, max_delay=max_delay_ms / 1000, max_images=1, **options)
        models = [write_python(repository, name, opened, settings, Layout(instances, stream))]
        guide = readme.for_python(models[0], opened, stream)
    for model in models:
        click.echo(f"wrote {model}")
    click.echo(f"wrote {guide}: how to launch it, and how to ask it")


def _refuse_others(context: click.Context) -> None:
    """Raise UsageError for options that say how the sampler is to run, where there is none."""
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and option.name not in ("bundle", "repository", "name", "layout"):
            raise click.UsageError(f"{option.opts[0]} is for --layout python", context)
