"""The Ray cluster that a command works on."""

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping

# Ray reads them as it is imported: no report goes out, and what Ray has to say about its own work stays in its logs.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
from ray.exceptions import AuthenticationError

from fdcn.errors import FdcnError

CONNECTING = 10.0
"""Seconds that a cluster has to accept a connection."""
ROUNDING = 1e-6
"""0.3 / 0.1 is below 3."""


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Be connected to the cluster that RAY_ADDRESS names, else to one that runs on this machine, else to a new one.

    Raises FdcnError where the named one is not there. A new one ends with the block.
    """
    for name in ("ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    _check_address()
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, include_dashboard=False)
    except (AuthenticationError, ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS", "the one that `ray start` began here")
        reason = " ".join(str(error).split())[:300]
        raise FdcnError(
            f"cannot connect to the Ray cluster at {address}: {reason}; check RAY_ADDRESS, RAY_AUTH_MODE and "
            "RAY_AUTH_TOKEN"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_address() -> None:
    """Raise FdcnError where nobody listens at RAY_ADDRESS: Ray itself would try for a quarter of an hour."""
    match = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d{1,5})", os.environ.get("RAY_ADDRESS", ""))
    if not match:
        return
    try:
        socket.create_connection((match[1], int(match[2])), CONNECTING).close()
    except (OSError, OverflowError) as error:
        raise FdcnError(f"cannot connect to the Ray cluster at {match[0]}: {error}; check RAY_ADDRESS") from error


def check_room(number: int, cpus: float, gpus: float) -> None:
    """Raise FdcnError where so many processes would wait for ever for what each of them is to have."""
    if gpus > 1 and gpus % 1:
        raise FdcnError(f"Ray gives parts of one GPU or whole ones, and not {gpus:g}; give --gpus such a number")
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(_room(machine, number, cpus, gpus) for machine in machines)
    if number > room:
        each = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise FdcnError(
            f"the cluster has room for {room} processes of {each} each, none of which is on two machines, and "
            f"{number} are wanted; ask for fewer, or for less with --cpus and --gpus"
        )


def _room(machine: Mapping[str, float], most: int, cpus: float, gpus: float) -> int:
    """How many processes a machine has room for, up to `most`."""
    fits = [most]
    for name, wanted in (("CPU", cpus), ("GPU", gpus)):
        if wanted:
            fits.append(int(machine.get(name, 0.0) / wanted + ROUNDING))
    return min(fits)
