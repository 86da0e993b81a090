"""Ray, started if nobody did; how many workers its CPUs allow."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from ..errors import BackendError
from ..text import printable

OBJECT_STORE = 200_000_000  # bytes: what passes through it are names, small pictures and their maps
_REMEDY = "pip install 'onnx_lrp[ray]'"

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts: nothing is sent anywhere


def loaded_ray() -> Any:
    """The module ray, with its data.

    Raises:
        BackendError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BackendError(f"this needs Ray Data, which cannot be imported ({error}); {_REMEDY}") from None
    return ray


def start_ray(cpus: int | None = None) -> bool:
    """Start Ray on this machine, or join the cluster that RAY_ADDRESS names, unless it runs already.

    Args:
        cpus: that it may use; all by default.

    Returns:
        Whether it was started here, so that whoever asked has to stop it.

    Raises:
        BackendError: Ray is missing, or the cluster does not answer.
    """
    ray = loaded_ray()
    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    if address:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError:
            raise BackendError(
                f"no cluster of Ray answers at {printable(address)}; is it running, and RAY_ADDRESS its address?"
            ) from None
        return True
    with _quiet():
        ray.init(
            num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE,
        )  # fmt: skip
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A local Ray says only what is fatal: that a worker died is handled, and said, by who asked for the work."""
    former = os.environ.get("RAY_BACKEND_LOG_LEVEL")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        yield
    finally:
        if former is None:
            os.environ.pop("RAY_BACKEND_LOG_LEVEL", None)


def workers(concurrency: int | None, cpus: float = 1) -> tuple[int, float]:
    """How many workers there are, and how many CPUs each is given.

    A CPU stays free: what reads the inputs needs one, and would wait for ever for workers that wait for inputs.

    Args:
        concurrency: how many are wanted; by default as many as there is room for.
        cpus: wanted for each.

    Raises:
        BackendError: there are not as many CPUs.
    """
    if cpus <= 0 or (concurrency is not None and concurrency < 1):
        raise BackendError(f"concurrency and cpus must be positive, not {concurrency} and {cpus}")
    there = float(loaded_ray().cluster_resources().get("CPU", 0))
    room = int((there - 1) // cpus)
    if room < 1 and concurrency in (None, 1):
        return 1, 0  # the only CPU is shared
    if concurrency is not None and concurrency > room:
        raise BackendError(
            f"{concurrency} workers of {cpus:g} CPUs leave none of Ray's {there:g} CPUs to read the inputs, and would "
            f"wait for ever; give concurrency={max(1, room)} (--workers {max(1, room)})"
        )
    return concurrency or room, cpus
