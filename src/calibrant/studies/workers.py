"""Who computes a study's predictions: this process, one model after the other, or an executor's processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from calibrant.core.executor import Executor
from calibrant.core.tasks import Task
from calibrant.core.types import Session
from calibrant.stages.evaluate import InThisProcess, Predicting
from calibrant.stages.remote.files import NamedSamples
from calibrant.stages.remote.predicting import ModelToOpen, SharedOut

T = TypeVar("T")


@dataclass(frozen=True)
class ModelToMeasure:
    """A model that is to be measured. ``key``: what decides its predictions; None: they are not kept.

    ``open`` is how this process opens it, ``sent`` what another one is told.
    """

    name: str
    open: Callable[[], Session]
    sent: Callable[[], ModelToOpen]
    key: str | None


class Workers(Protocol):
    """Who predicts a study's test samples."""

    @property
    def are_many(self) -> bool:
        """Whether several models are measured at once."""
        ...

    def predicting(self, model: ModelToMeasure) -> Predicting:
        """One model's predictions, wherever they are computed."""
        ...

    def each(self, measures: Sequence[Callable[[], T]]) -> list[T]:
        """What every one of ``measures`` returns, in order; the first error is raised."""
        ...


class Alone:
    """The study's own process: one model is open at a time."""

    are_many = False

    def __init__(self, task: Task, samples: Sequence[Any]) -> None:
        self._task, self._samples = task, samples

    def predicting(self, model: ModelToMeasure) -> Predicting:
        """In this process."""
        return InThisProcess(model.open, self._task, self._samples)

    def each(self, measures: Sequence[Callable[[], T]]) -> list[T]:
        """One after the other."""
        return [measure() for measure in measures]


class Shared:
    """An executor's processes. The task and the samples are sent to them."""

    are_many = True

    def __init__(self, executor: Executor, task: Task, samples: Sequence[Any]) -> None:
        self._executor, self._task = executor, task
        self._samples = NamedSamples.of(samples, task)

    def predicting(self, model: ModelToMeasure) -> Predicting:
        """In whichever process is free."""
        return SharedOut(self._executor, model.sent(), self._task, self._samples)

    def each(self, measures: Sequence[Callable[[], T]]) -> list[T]:
        """All at once, each on a thread that mostly waits."""
        pool = ThreadPoolExecutor(max(1, len(measures)), thread_name_prefix="calibrant")
        try:
            return [under_way.result() for under_way in [pool.submit(measure) for measure in measures]]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
