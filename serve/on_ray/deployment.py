"""`fdcn serve --ray`: one ingress, and replicas that make pictures wherever the cluster has room."""

import contextlib
import dataclasses
import logging
import queue
import signal
import threading
import types
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig

from fdcn.bundle import Bundle
from fdcn.errors import FdcnError
from fdcn.serve.http.auth import Keys
from fdcn.serve.http.server import address, bind
from fdcn.serve.on_ray.cluster import check_room, connected
from fdcn.serve.on_ray.processes import INGRESS, REPLICAS, Ingress, Replica, application
from fdcn.serve.settings import Settings

log = logging.getLogger(__name__)
HEALTH_PERIOD = 2.0
"""Seconds between looks at each replica,"""
HEALTH_TIMEOUT = 30.0
"""and until one that does not answer is replaced."""
TRIES = 3
"""Of a replica to begin, before the whole is given up."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """How many replicas there are, and what each has."""

    least: int = 1
    most: int = 1
    """More than `least`: as many as the requests keep busy."""
    gpus: float | None = None
    """Of each, as 0.5; 1 by default where the cluster has GPUs."""
    cpus: float | None = None
    """Of each; 1 by default."""

    def resources(self) -> dict[str, float]:
        """Of one replica, as Ray names them."""
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0)) if self.gpus is None else self.gpus
        return {"num_cpus": 1.0 if self.cpus is None else self.cpus, "num_gpus": gpus}


def deploy(settings: Settings, scale: Scale) -> None:
    """Put both applications on the cluster. Raises FdcnError where that fails."""
    resources = scale.resources()
    check_room(scale.least, resources["num_cpus"], resources["num_gpus"])
    many: dict[str, Any] = {"num_replicas": scale.least}
    if scale.most > scale.least:
        many = {
            "autoscaling_config": {
                "min_replicas": scale.least,
                "max_replicas": scale.most,
                "target_ongoing_requests": settings.max_batch,
            }
        }
    quiet = LoggingConfig(enable_access_log=False)
    replicas = serve.deployment(
        ray_actor_options=resources,
        # One batch that is being made and one that waits; the others wait where any replica can take them.
        max_ongoing_requests=2 * settings.max_batch,
        max_queued_requests=settings.max_queue,
        health_check_period_s=HEALTH_PERIOD,
        health_check_timeout_s=HEALTH_TIMEOUT,
        graceful_shutdown_timeout_s=settings.drain,
        max_constructor_retry_count=TRIES,
        logging_config=quiet,
        **many,
    )(Replica)

    def built() -> Callable[..., Any]:
        return application(settings)

    ingress = serve.deployment(
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.max_connections,
        graceful_shutdown_timeout_s=settings.drain,
        health_check_period_s=HEALTH_PERIOD,
        health_check_timeout_s=HEALTH_TIMEOUT,
        max_constructor_retry_count=TRIES,
        logging_config=quiet,
    )(serve.ingress(built)(Ingress))
    try:
        serve.run(replicas.bind(settings), name=REPLICAS, route_prefix=None)
        serve.run(ingress.bind(settings), name=INGRESS, route_prefix="/")
    except (RuntimeError, RayServeException) as error:
        raise FdcnError(_why(str(error))) from error


def serve_on_ray(settings: Settings, scale: Scale, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve a bundle on a Ray cluster until a signal ends it; `announce` is told what a person reads.

    SIGHUP lets every replica take over the bundle that then lies at the path. Raises FdcnError where the cluster, the
    address or the bundle cannot be had.
    """
    keys = settings.api_key_file
    settings = dataclasses.replace(
        settings, bundle=settings.bundle.absolute(), api_key_file=None if keys is None else keys.absolute()
    )
    # Before anything is on the cluster, whose reports of failures are long.
    Bundle.open(settings.bundle)
    if settings.api_key_file is not None:
        Keys(settings.api_key_file)
    with connected(), _Signals() as signals:
        holder = _hold()  # until its last reference goes
        try:
            where = _start(host, port, announce)
            deploy(settings, scale)
            ingress: DeploymentHandle[Any] = serve.get_deployment_handle(Ingress.__name__, INGRESS)
            signals.keep()
            announce(f"serving {settings.bundle.name} on Ray{where}")
            while signals.wait() == signal.SIGHUP:
                # Beside this thread, which is to hear of the next signal.
                threading.Thread(target=_reload, args=(ingress,), daemon=True).start()
            announce("ending")
            # What is not done by then is given up, as is what an ingress had that has died.
            with contextlib.suppress(TimeoutError, RayError, RayServeException):
                ingress.drain.remote().result(timeout_s=settings.drain)
        finally:
            with contextlib.suppress(RayError, RayServeException):  # it was never begun, or has died
                serve.delete(INGRESS)
                serve.delete(REPLICAS)
                if not serve.status().applications:
                    serve.shutdown()
            del holder


class _Holder:
    """Lives as long as somebody refers to it; there is one of its name on a cluster."""


def _hold() -> Any:
    """What a command keeps while it serves. Raises FdcnError where another one does: names and address are the same."""
    try:
        return ray.remote(num_cpus=0)(_Holder).options(name=INGRESS, namespace=INGRESS).remote()
    except ValueError as error:
        raise FdcnError("another fdcn serve --ray serves on this Ray cluster; end that one first") from error


def _reload(ingress: DeploymentHandle[Any]) -> None:
    """Let the replicas take over what now lies at the bundle's path, and log what becomes of it."""
    try:
        taken = ingress.reload.remote().result()
    except (RayError, RayServeException):
        log.exception("the bundle was not taken over")
        return
    if isinstance(taken, FdcnError):
        fields = {"reason": str(taken)}
        log.error("the keys or a replica's bundle were not taken over; the old ones go on", extra={"fields": fields})
    else:
        log.info("took over a bundle", extra={"fields": {"model": taken.model, "reads": taken.reads}})


def _start(host: str, port: int, announce: Callable[[str], None]) -> str:
    """Let Ray Serve listen, and return where, in words. Raises FdcnError where the address is taken."""
    if serve.status().proxies:
        announce("Ray Serve runs on this cluster already, and keeps the address that it was begun with")
        return ""
    with contextlib.closing(bind(host, port)) as free:
        where, port = f" at {address(free)}", free.getsockname()[1]
    # On loopback a proxy of another machine would serve nobody.
    location = ProxyLocation.HeadOnly if host in ("127.0.0.1", "::1", "localhost") else ProxyLocation.EveryNode
    quiet = LoggingConfig(enable_access_log=False)
    serve.start(proxy_location=location, http_options=HTTPOptions(host=host, port=port), logging_config=quiet)
    return where


class _Signals:
    """Signals as they come, once they are kept; before that they interrupt, as does a second one that ends."""

    def __init__(self) -> None:
        self._come: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._before: dict[int, Any] = {}
        self._kept = False

    def keep(self) -> None:
        """From now on they wait for `wait`."""
        self._kept = True

    def wait(self) -> int:
        """The number of the next one."""
        return self._come.get()

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        ends = number in (signal.SIGINT, signal.SIGTERM)
        if ends and not self._kept:
            raise KeyboardInterrupt
        self._kept = self._kept and not ends
        self._come.put(number)


def _why(otherwise: str) -> str:
    """What was wrong, from Ray's reports of its deployments: the last line of a traceback, or all that there is."""
    states = [state for app in serve.status().applications.values() for state in app.deployments.values()]
    lines = [line.strip() for text in (otherwise, *(state.message for state in states)) for line in text.splitlines()]
    _, named, reason = next((line for line in lines if "FdcnError: " in line), "").partition("FdcnError: ")
    said = reason if named else " ".join(line for line in lines if line)[:500]
    return f"the replicas could not begin: {said}"
