"""The Ray cluster that a command works on."""

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator

# Ray reads them as it is imported: no report goes out, and what Ray has to say about its own work stays in its logs.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
from ray.exceptions import AuthenticationError

from fdcn.errors import FdcnError

CONNECTING = 10.0
"""Seconds that a cluster has to accept a connection."""


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
    total = ray.cluster_resources()
    for name, option, wanted in (("CPUs", "--cpus", cpus), ("GPUs", "--gpus", gpus)):
        there = total.get(name[:-1], 0.0)
        if number * wanted > there:
            raise FdcnError(
                f"{number} of {wanted:g} {name} each are more than the cluster's {there:g}; ask for fewer, or for less "
                f"with {option}"
            )
