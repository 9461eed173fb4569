"""A model's score on labelled samples, as the deployed runtime computes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from calibrant.core.progress import Progress, Silent
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
    predictions: list[Any] = []
    first_inputs: list[Feeds] = []

    def keep_first(feeds: Feeds) -> None:
        if not first_inputs:
            first_inputs.append(feeds)

    with open_model() as session:
        started = time.perf_counter()
        watched = WatchedSession(session, keep_first)

        def predict(sample: Sample) -> Any:
            return task.interpret(task.drive(watched, sample), sample)

        with (progress or Silent()).stage(title, len(samples)) as advance:
            for prediction in in_order(predict, samples, workers_of(session)):
                predictions.append(prediction)
                advance()
        seconds = time.perf_counter() - started
        latency = _latency(session, first_inputs)
    return Evaluation(task.score(samples, predictions), tuple(predictions), seconds, latency)


def _latency(session: Session, first_inputs: Sequence[Feeds]) -> Latency | None:
    if not (isinstance(session, TimedSession) and first_inputs):
        return None
    return session.latency(first_inputs[0])
