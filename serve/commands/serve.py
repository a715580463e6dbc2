"""`fdcn serve`."""

import ipaddress
import re
from pathlib import Path
from typing import Any

import click

from fdcn.parameters import ALLOW_BUNDLED_CODE, BACKEND, BUNDLE, Size
from fdcn.serve.settings import MIB, Settings
from fdcn.terminal import needing


class Shape(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """WIDTHxHEIGHT or WIDTHxHEIGHTxIMAGES."""

    name = "WIDTHxHEIGHT[xN]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8}){1,2}", value, re.ASCII):
            return self.fail(f"{value!r} is not WIDTHxHEIGHT or WIDTHxHEIGHTxIMAGES, such as 256x256x8", param, ctx)
        return tuple(map(int, value.split("x")))


class Replicas(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """NUMBER or MIN:MAX."""

    name = "NUMBER|MIN:MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d{0,4})(?::([1-9]\d{0,4}))?", value, re.ASCII)
        if not match or int(match[2] or match[1]) < int(match[1]):
            return self.fail(f"{value!r} is no number from 1, nor MIN:MAX, such as 1:4", param, ctx)
        return int(match[1]), int(match[2] or match[1])


SECONDS = click.FloatRange(0, min_open=True, max=86_400)


@click.command()
@BUNDLE
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@BACKEND
@click.option("--device", type=click.IntRange(0), metavar="N", help="The GPU to run on, for TensorRT. [default: 0]")
@click.option(
    "--warmup",
    type=Shape(),
    multiple=True,
    help="Ready only when pictures of this size are fast, in batches of N; repeatable. "
    "[default: the training size; N as --max-batch]",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    default=Settings.max_batch,
    show_default=True,
    help="Most pictures of several requests that are sampled together.",
)
@click.option(
    "--max-delay-ms",
    type=click.FloatRange(0, 60_000),
    default=1000 * Settings.max_delay,
    show_default=True,
    help="How long a request may wait for others to fill its batch.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(1),
    default=Settings.max_queue,
    show_default=True,
    help="Most pictures that are accepted and not done; beyond, requests get 429.",
)
@click.option(
    "--max-images", type=click.IntRange(1), default=Settings.max_images, show_default=True, help="Of one request."
)
@click.option(
    "--max-size",
    type=Size(),
    default="x".join(map(str, Settings.max_size)),
    show_default=True,
    help="Of a picture: neither side is longer than its longer one, nor are there more pixels.",
)
@click.option(
    "--max-steps", type=click.IntRange(1), default=Settings.max_steps, show_default=True, help="Of a request's solver."
)
@click.option(
    "--deadline",
    type=SECONDS,
    default=Settings.deadline,
    show_default=True,
    metavar="SECONDS",
    help="When a request is given up; one may ask for less.",
)
@click.option(
    "--max-body",
    type=click.FloatRange(0, 1024, min_open=True),
    default=Settings.max_body / MIB,
    show_default=True,
    metavar="MIB",
    help="Of one request.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve only those who send one of its keys, a line each. [default: serve everybody]",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="URL",
    help="Let pages of this origin ask too; repeatable. [default: none]",
)
@click.option(
    "--drain-seconds",
    "drain",
    type=SECONDS,
    default=Settings.drain,
    show_default=True,
    help="How long accepted requests have after SIGTERM.",
)
@ALLOW_BUNDLED_CODE
@click.option(
    "--ray",
    is_flag=True,
    help="Serve from replicas on a Ray cluster: that of RAY_ADDRESS, one that runs here, or this machine. Every "
    "machine must see the bundle at the same path.",
)
@click.option(
    "--replicas",
    type=Replicas(),
    default="1",
    show_default=True,
    help="Of --ray: how many, or MIN:MAX for as many as the requests keep busy.",
)
@click.option(
    "--gpus", type=click.FloatRange(0), metavar="X", help="Of --ray: GPUs a replica, as 0.5. [default: 1 or 0]"
)
@click.option("--cpus", type=click.FloatRange(0), metavar="X", help="Of --ray: CPUs a replica. [default: 1]")
def serve(
    bundle: Path,
    host: str,
    port: int,
    ray: bool,
    replicas: tuple[int, int],
    gpus: float | None,
    cpus: float | None,
    **options: Any,
) -> None:
    """Serve a bundle over HTTP, with a page.

    POST /v1/images/generations is the OpenAI images API, POST /v1/generate has every option of fdcn run, and /docs
    describes both. SIGTERM ends it once accepted requests are done; SIGHUP takes over new keys and a new bundle.
    """
    if not ray and (replicas, gpus, cpus) != ((1, 1), None, None):
        raise click.UsageError("--replicas, --gpus and --cpus are of --ray: add it, or leave them out")
    settings = _settings(bundle, **options)
    if not _is_loopback(host) and settings.api_key_file is None:
        click.echo(f"warning: whoever reaches {host} may ask for pictures; --api-key-file wants a key", err=True)
    with needing("serve"):
        from fdcn.serve import logs
        from fdcn.serve.http import server
    logs.configure()
    if ray:
        with needing("ray"):
            from fdcn.serve.on_ray.deployment import Scale, serve_on_ray
        serve_on_ray(settings, Scale(*replicas, gpus=gpus, cpus=cpus), host, port, click.echo)
    else:
        server.serve(settings, host, port, click.echo)


def _settings(
    bundle: Path,
    *,
    warmup: tuple[tuple[int, ...], ...],
    max_batch: int,
    max_delay_ms: float,
    max_body: float,
    **options: Any,
) -> Settings:
    return Settings(
        bundle=bundle,
        warmup=tuple((shape[0], shape[1], shape[2] if len(shape) > 2 else max_batch) for shape in warmup),
        max_batch=max_batch,
        max_delay=max_delay_ms / 1000,
        max_body=max(1, int(max_body * MIB)),
        **options,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
