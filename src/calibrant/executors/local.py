"""Processes on this machine: each is given a piece of work when it is free, and replaced when it dies."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

from calibrant.core.closing import ClosesOnExit
from calibrant.core.errors import SettingsError
from calibrant.core.executor import ATTEMPTS, Work
from calibrant.core.machine import usable_cores
from calibrant.executors.answers import Answer, answer_of, versions, worker_lost

# A fresh interpreter: a fork of a process with threads may hang.
_CONTEXT = get_context("spawn")
_PATIENCE_SECONDS = 0.05
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_Environment: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class _Order:
    work: Work
    promised: Future[Any]


class _WorkerDiedError(Exception):
    """A worker process ended while it had work; says how."""


class LocalExecutor(ClosesOnExit):
    """Several processes. Work that needs a GPU has one of ``gpus`` (CUDA's numbers) for itself."""

    def __init__(self, processes: int, gpus: Sequence[str]) -> None:
        self._lanes = (processes, max(1, len(gpus)))
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._gpus: SimpleQueue[_Environment] = SimpleQueue()
        # Without a GPU in sight the work itself says what is missing, one at a time.
        for environment in [{_VISIBLE: gpu} for gpu in gpus] or [{}]:
            self._gpus.put(environment)
        self._is_closed = False
        self._workers: set[_Worker] = set()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(processes)]
        for thread in self._threads:
            thread.start()

    def slots(self, gpus: int = 0) -> int:
        """As many as there are processes, or GPUs."""
        return min(self._lanes) if gpus else self._lanes[0]

    def submit(self, work: Work) -> Future[Any]:
        """Have it done by the next process that is free."""
        promised: Future[Any] = Future()
        self._orders.put(_Order(work, promised))
        return promised

    def close(self) -> None:
        """End all processes; what is under way is lost."""
        self._is_closed = True
        for _ in self._threads:
            self._orders.put(None)
        while any(thread.is_alive() for thread in self._threads):
            for worker in list(self._workers):
                worker.kill()
            for thread in self._threads:
                thread.join(_PATIENCE_SECONDS)

    def _serve(self) -> None:
        """Be one process' thread: hand it one order after the other."""
        worker = _Worker()
        self._workers.add(worker)
        while (order := self._orders.get()) is not None:
            if self._is_closed:
                order.promised.cancel()
            if not order.promised.set_running_or_notify_cancel():
                continue
            gpu = self._gpus.get() if order.work.gpus else None
            try:
                order.promised.set_result(self._answer(worker, order.work, gpu or {}).unwrap())
            except BaseException as error:
                order.promised.set_exception(error)
            finally:
                if gpu is not None:
                    self._gpus.put(gpu)
        worker.end()

    def _answer(self, worker: _Worker, work: Work, environment: _Environment) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return worker.answer(work, environment)
            except _WorkerDiedError as death:
                if attempt == ATTEMPTS or self._is_closed:
                    raise worker_lost(str(death)) from death
        raise AssertionError("unreachable")


class _Worker:
    """A process that does one piece of work after the other, started when it first has one."""

    def __init__(self) -> None:
        self._process: Any = None
        self._line: Connection | None = None

    def answer(self, work: Work, environment: _Environment) -> Answer:
        """Have ``work`` done. Raises _WorkerDiedError, and what is no CalibrantError as it was raised."""
        line = self._line or self._started()
        try:
            line.send((work, versions(), environment))
            found = line.recv()
        except (EOFError, OSError) as error:
            code = self.end()
            raise _WorkerDiedError(f"signal {-code}" if code < 0 else f"exit code {code}") from error
        if isinstance(found, Answer):
            return found
        assert isinstance(found, BaseException)
        raise found

    def kill(self) -> None:
        """End the process from another thread, however busy it is."""
        if (process := self._process) is not None:
            process.terminate()

    def end(self) -> int:
        """Let the process end, as it does when the line is closed; its exit code, negative for a signal."""
        process, line, self._process, self._line = self._process, self._line, None, None
        if process is None or line is None:
            return 0
        line.close()
        process.join()
        return int(process.exitcode or 0)

    def _started(self) -> Connection:
        ours, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(theirs,), daemon=True, name="calibrant-worker")
        self._process.start()
        theirs.close()  # so that the process' death is the end of the line
        self._line = ours
        return ours


def _work(line: Connection) -> None:
    """Do what comes along the line, until nobody is at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever began the study
    with suppress(EOFError, OSError):
        while True:
            work, expected, environment = line.recv()
            os.environ.update(environment)
            try:
                line.send(answer_of(work, expected))
            except Exception as error:
                line.send(error)


def visible_gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The numbers of the NVIDIA GPUs that a process here may use, as CUDA_VISIBLE_DEVICES has them."""
    if _VISIBLE in os.environ:
        return tuple(filter(None, (part.strip() for part in os.environ[_VISIBLE].split(","))))
    names = (device.name for device in devices.glob("nvidia*"))
    return tuple(sorted(name.removeprefix("nvidia") for name in names if re.fullmatch(r"nvidia\d+", name)))


def make(argument: str) -> LocalExecutor:
    """``local`` has a process for each core, ``local:N`` has N. Raises SettingsError."""
    if argument and not (argument.isdigit() and int(argument) > 0):
        raise SettingsError(f"{argument!r} is no number of processes; write e.g. --executor local:2")
    return LocalExecutor(int(argument) if argument else usable_cores(), visible_gpus())
