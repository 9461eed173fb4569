"""A model's score on labelled samples, as the deployed runtime computes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calibrant.core.closing import ClosesOnExit
from calibrant.core.progress import Advance, Progress, Silent
from calibrant.core.types import Feeds, Latency, Sample, Score, Session, Task, TimedSession
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import WatchedSession


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
    driven = WatchedSession(session, watch) if watch else session

    def predict(sample: Sample) -> Any:
        return task.interpret(task.drive(driven, sample), sample)

    return in_order(predict, samples, workers_of(session))


class Predictor(ClosesOnExit):
    """Runs one model on samples by their positions, each once, as often as it is asked to.

    known: what was predicted before. The model is opened when it first has to run.
    """

    def __init__(
        self,
        open_model: Callable[[], Session],
        task: Task,
        samples: Sequence[Sample],
        known: Predictions = Predictions(),
    ) -> None:
        self._open, self._task, self._samples = open_model, task, samples
        self._found, self._seconds, self._latency = dict(known.found), known.seconds, known.latency
        self._session: Session | None = None

    def run(self, positions: Sequence[int], advance: Advance = lambda: None, *, timed: bool = True) -> None:
        """Predict these samples, where that is still to do; ``timed``: and measure the latency, once.

        Raises RuntimeFailedError when the runtime refuses the model.
        """
        missing = [position for position in positions if position not in self._found]
        for _ in range(len(positions) - len(missing)):
            advance()
        if not missing:
            return
        if self._session is None:
            self._session = self._open()
        session, first_inputs = self._session, list[Feeds]()

        def keep_first(feeds: Feeds) -> None:
            if not first_inputs:
                first_inputs.append(feeds)

        samples = [self._samples[position] for position in missing]
        started = time.perf_counter()
        predictions = predictions_of(session, self._task, samples, keep_first)
        for position, prediction in zip(missing, predictions, strict=True):
            self._found[position] = prediction
            advance()
        self._seconds += time.perf_counter() - started
        if timed and self._latency is None and first_inputs and isinstance(session, TimedSession):
            self._latency = session.latency(first_inputs[0])

    @property
    def predictions(self) -> Predictions:
        """All that is known by now."""
        return Predictions(dict(self._found), self._seconds, self._latency)

    def evaluation(self, positions: Sequence[int]) -> Evaluation:
        """The score on these samples, which were run, in this order."""
        found = tuple(self._found[position] for position in positions)
        score = self._task.score([self._samples[position] for position in positions], found)
        return Evaluation(score, found, self._seconds, self._latency)

    def close(self) -> None:
        """Close the model's session."""
        if self._session is not None:
            self._session.close()
            self._session = None


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
    with Predictor(open_model, task, samples) as model:
        with (progress or Silent()).stage(title, len(samples)) as advance:
            model.run(positions, advance)
        return model.evaluation(positions)
