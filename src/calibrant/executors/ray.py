"""A Ray cluster, or Ray on this machine: Ray's scheduler hands the work out, and again when a worker dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import ray

from calibrant.core.closing import ClosesOnExit
from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.core.executor import ATTEMPTS, Work
from calibrant.executors.answers import Answer, answer_of, versions, worker_lost

_PATIENCE_SECONDS = 10.0


class RayExecutor(ClosesOnExit):
    """Every piece of work is a Ray task of one core and, where it asks for them, GPUs."""

    def __init__(self, address: str) -> None:
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(address)
        self._remote = ray.remote(max_retries=ATTEMPTS - 1)(answer_of)
        self._promised: set[Future[Any]] = set()

    def slots(self, gpus: int = 0) -> int:
        """As many as the cluster has cores, and GPUs."""
        there = _resources()
        rooms = [there.get("CPU", 1), *([there.get("GPU", 0) / gpus] if gpus else [])]
        return max(1, int(min(rooms)))

    def submit(self, work: Work) -> Future[Any]:
        """Have it done where Ray has room. Raises SettingsError where no node can ever have it."""
        _require_gpus(work.gpus)
        reference = self._remote.options(num_cpus=1, num_gpus=work.gpus).remote(work, versions())
        promised: Future[Any] = Future()
        self._promised.add(promised)
        promised.add_done_callback(self._promised.discard)
        promised.add_done_callback(partial(_cancel, reference))
        reference.future().add_done_callback(partial(_settle, promised))
        return promised

    def close(self) -> None:
        """Leave the cluster; one that was started for this ends. Whoever still waits waits no longer."""
        for promised in list(self._promised):
            if promised.cancel():
                promised.set_running_or_notify_cancel()
        if self._is_ours and ray.is_initialized():
            ray.shutdown()


def _connect(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told what is run here
    try:
        _require_listener(address)
        ray.init(
            address=address or None,
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
        )
    except (Exception, SystemExit) as error:  # Ray promises no types, and may just end the process
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        words = " ".join(str(error).split())[:200]
        raise SettingsError(
            f"{where} cannot be reached ({words}); check it with ray status --address HOST:PORT"
        ) from error


def _resources() -> Mapping[str, float]:
    found: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def _require_listener(address: str) -> None:
    """Ray itself tries for two minutes. Raises OSError."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()


def _require_gpus(wanted: int) -> None:
    there = _resources().get("GPU", 0) if wanted else 0
    if wanted > there:
        raise SettingsError(
            f"the Ray cluster has {there:g} GPUs, and this runtime needs {wanted}; start a node with one: "
            "ray start --address HOST:PORT --num-gpus 1"
        )


def _cancel(reference: Any, promised: Future[Any]) -> None:
    if promised.cancelled():
        ray.cancel(reference)


def _settle(promised: Future[Any], done: Future[Answer]) -> None:
    if promised.cancelled() or not promised.set_running_or_notify_cancel():
        return
    try:
        promised.set_result(done.result().unwrap())
    except ray.exceptions.RayTaskError as error:
        promised.set_exception(error.cause or error)
    except ray.exceptions.RayError as error:
        promised.set_exception(_lost(error))
    except BaseException as error:
        promised.set_exception(error)


def _lost(error: Exception) -> RuntimeFailedError:
    return worker_lost(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def make(argument: str) -> RayExecutor:
    """``ray`` is the cluster of RAY_ADDRESS, or else Ray on this machine. Raises SettingsError."""
    return RayExecutor(argument)
