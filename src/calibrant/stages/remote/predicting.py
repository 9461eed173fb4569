"""Predicting in shards: any process may run any samples through a model that lies in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from calibrant.core.closing import ClosesOnExit
from calibrant.core.errors import RuntimeFailedError
from calibrant.core.executor import Executor, completed
from calibrant.core.tasks import Task
from calibrant.core.types import Deployable, Latency, QuantizingRuntime, Session
from calibrant.runtimes import gpus_of, on_one_core, runtime_named
from calibrant.stages.evaluate import FirstInputs, predictions_of
from calibrant.stages.remote.files import KEPT_OPEN, NamedFile, NamedSamples, shards_of


@dataclass(frozen=True, eq=False)
class ModelToOpen:
    """A model and the runtime, as users name it, that opens it.

    ``candidate`` goes to a runtime that may quantize by itself; ``file`` is its model's, or the model.
    """

    runtime: str
    file: NamedFile
    candidate: Deployable | None = None

    def open(self) -> Session:
        """Open it in this process. Raises DataError for other files, RuntimeFailedError as Runtime.open."""
        path, runtime = self.file.checked(), runtime_named(on_one_core(self.runtime))
        if self.candidate is not None and isinstance(runtime, QuantizingRuntime):
            return runtime.open_candidate(self.candidate)
        return runtime.open(path)


@dataclass(frozen=True)
class Predicted:
    """What a model predicts for a shard's samples, in order, and how fast it is, where that was asked for."""

    predictions: tuple[Any, ...]
    latency: Latency | None


@dataclass(frozen=True, eq=False)
class PredictingShard:
    """Samples that a model is to be run on. ``is_timed``: whether its latency is to be measured, too."""

    model: ModelToOpen
    task: Task
    samples: NamedSamples
    is_timed: bool

    @property
    def gpus(self) -> int:
        """One where the runtime computes on GPUs."""
        return gpus_of(self.model.runtime)

    def __call__(self) -> Predicted:
        """Predict all samples."""
        samples = self.samples.checked(self.task)
        session = KEPT_OPEN.get((self.model.file, self.model.runtime), self.model.open)
        first = FirstInputs()
        try:
            found = tuple(predictions_of(session, self.task, samples, first.watch))
            return Predicted(found, first.latency(session) if self.is_timed else None)
        except RuntimeFailedError:
            KEPT_OPEN.close()
            raise


class SharedOut(ClosesOnExit):
    """Has a model's predictions computed by an executor's processes; nothing is open in this one.

    On a GPU a run of samples is one piece of work, as opening the model may take minutes there.
    """

    def __init__(self, executor: Executor, model: ModelToOpen, task: Task, samples: NamedSamples) -> None:
        self._executor, self._model, self._task, self._samples = executor, model, task, samples
        self._latency: Latency | None = None

    def predictions(self, positions: Sequence[int], *, timed: bool) -> Iterator[tuple[int, Any]]:
        """Each position with its prediction, as they come. Raises what a worker raised."""
        size = len(positions) if gpus_of(self._model.runtime) else None
        parts = shards_of(positions, size) if size else shards_of(positions)
        shards = [
            PredictingShard(self._model, self._task, self._samples.at(part), is_timed=timed and index == 0)
            for index, part in enumerate(parts)
        ]
        for index, found in completed(self._executor, shards):
            self._latency = found.latency or self._latency
            yield from zip(parts[index], found.predictions, strict=True)

    def latency(self) -> Latency | None:
        """What the first shard's worker measured, beside whatever else its machine does."""
        return self._latency

    def close(self) -> None:
        """Nothing is held."""
