"""A model's score on labelled samples, as the deployed runtime computes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from calibrant.core.closing import ClosesOnExit
from calibrant.core.metrics import Evidence, Score
from calibrant.core.progress import Advance, Progress, Silent
from calibrant.core.tasks import MODEL, Task
from calibrant.core.types import Feeds, Latency, Runtime, Sample, Session, TimedSession
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import WatchedSession, drive


@dataclass(frozen=True)
class Evaluation:
    """A score, the predictions behind it (one a sample, in order) and the wall time, seconds.

    ``latency`` is of the first sample's inputs; None where the runtime cannot tell.
    """

    score: Score
    predictions: tuple[Any, ...]
    seconds: float
    latency: Latency | None = None


@dataclass(frozen=True)
class Predictions:
    """What a model predicted so far, by the sample's position, and how long that took, seconds."""

    found: Mapping[int, Any] = field(default_factory=dict)
    seconds: float = 0.0
    latency: Latency | None = None


def predictions_of(
    session: Session,
    task: Task,
    samples: Sequence[Sample],
    watch: Callable[[Feeds], None] | None = None,
) -> Iterator[Any]:
    """What an open model predicts for each sample, in order; as many are under way as the session allows.

    ``watch`` is shown every run's inputs before it runs.
    """
    driven = {MODEL: WatchedSession(session, watch) if watch else session}

    def predict(batch: Sequence[Sample]) -> list[Any]:
        raw = task.drive(driven, batch)
        return [task.interpret(of_one, sample) for of_one, sample in zip(raw, batch, strict=True)]

    batches = [samples[at : at + task.batch] for at in range(0, len(samples), task.batch)]
    return chain.from_iterable(in_order(predict, batches, workers_of(session)))


class FirstInputs:
    """Keeps the inputs of the first run that it watches, to time the model on."""

    def __init__(self) -> None:
        self._feeds: Feeds | None = None

    def watch(self, feeds: Feeds) -> None:
        """Take the first inputs and leave the rest."""
        if self._feeds is None:
            self._feeds = feeds

    def latency(self, session: Session) -> Latency | None:
        """How fast the open model is on them; None where it cannot tell, or nothing was run."""
        if self._feeds is not None and isinstance(session, TimedSession):
            return session.latency(self._feeds)
        return None


class Predicting(Protocol):
    """What computes predictions of one model: this process, or others."""

    def predictions(self, positions: Sequence[int], *, timed: bool) -> Iterator[tuple[int, Any]]:
        """Each sample's position with its prediction, in any order; ``timed``: its latency will be asked for.

        Raises RuntimeFailedError.
        """
        ...

    def latency(self) -> Latency | None:
        """Of the first sample of the last timed predictions; None where the runtime cannot tell."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class InThisProcess(ClosesOnExit):
    """Runs a model here, opened when it first has to run."""

    def __init__(self, open_model: Callable[[], Session], task: Task, samples: Sequence[Sample]) -> None:
        self._open, self._task, self._samples = open_model, task, samples
        self._session: Session | None = None
        self._first = FirstInputs()

    def predictions(self, positions: Sequence[int], *, timed: bool) -> Iterator[tuple[int, Any]]:  # noqa: ARG002
        """Each position with its prediction, in order. Raises RuntimeFailedError as Runtime.open."""
        if self._session is None:
            self._session = self._open()
        self._first = FirstInputs()
        samples = [self._samples[position] for position in positions]
        found = predictions_of(self._session, self._task, samples, self._first.watch)
        yield from zip(positions, found, strict=True)

    def latency(self) -> Latency | None:
        """Measured now."""
        return self._first.latency(self._session) if self._session else None

    def close(self) -> None:
        """Close the model's session."""
        if self._session is not None:
            self._session.close()
            self._session = None


class Predictor(ClosesOnExit):
    """What one model predicts for samples by their positions, each computed once, however often it is asked.

    known: what was predicted before.
    """

    def __init__(
        self,
        computing: Predicting,
        task: Task,
        samples: Sequence[Sample],
        known: Predictions = Predictions(),
    ) -> None:
        self._computing, self._task, self._samples = computing, task, samples
        self._found, self._seconds, self._latency = dict(known.found), known.seconds, known.latency

    def run(self, positions: Sequence[int], advance: Advance = lambda: None, *, timed: bool = True) -> None:
        """Predict these samples, where that is still to do; ``timed``: and measure the latency, once.

        Raises RuntimeFailedError when the runtime refuses the model.
        """
        missing = [position for position in positions if position not in self._found]
        for _ in range(len(positions) - len(missing)):
            advance()
        if not missing:
            return
        started = time.perf_counter()
        timed = timed and self._latency is None
        for position, prediction in self._computing.predictions(missing, timed=timed):
            self._found[position] = prediction
            advance()
        self._seconds += time.perf_counter() - started
        if timed:
            self._latency = self._computing.latency()

    @property
    def predictions(self) -> Predictions:
        """All that is known by now."""
        return Predictions(dict(self._found), self._seconds, self._latency)

    def evaluation(self, positions: Sequence[int]) -> Evaluation:
        """The score on these samples, which were run, in this order."""
        found = tuple(self._found[position] for position in positions)
        score = self._task.score([self._samples[position] for position in positions], found)
        return Evaluation(score, found, self._seconds, self._latency)

    def evidence(self, positions: Sequence[int]) -> Evidence:
        """The evidence of that score alone."""
        found = [self._found[position] for position in positions]
        return self._task.evidence([self._samples[position] for position in positions], found)

    def close(self) -> None:
        """Give back what computing it held."""
        self._computing.close()


def require_readable(
    runtime: Runtime, model: Path, task: Task, samples: Sequence[Sample], is_float: bool = False
) -> None:
    """Read one prediction of a model, before another runtime builds for minutes what no task can read.

    is_float: also hold what it gives against what it was taken for, which a quantized model may contradict.
    Raises ModelError or RuntimeFailedError.
    """
    with runtime.open(model) as session:
        for _ in predictions_of(session, task, samples[:1]):
            pass
        if is_float:
            task.check(drive(task, session, samples[0]), samples[0])


def evaluate(
    open_model: Callable[[], Session],
    task: Task,
    samples: Sequence[Sample],
    title: str = "Evaluating",
    progress: Progress | None = None,
) -> Evaluation:
    """Open a model, run it on every sample, score what it predicts and time it.

    Raises RuntimeFailedError when the runtime refuses the model.
    """
    positions = range(len(samples))
    with Predictor(InThisProcess(open_model, task, samples), task, samples) as model:
        with (progress or Silent()).stage(title, len(samples)) as advance:
            model.run(positions, advance)
        return model.evaluation(positions)
