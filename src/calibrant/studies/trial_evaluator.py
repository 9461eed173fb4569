"""Measuring models on a study's test samples, going on where an earlier run was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from calibrant.core.errors import CalibrantError, OutputError
from calibrant.core.metrics import Evidence, Metric
from calibrant.core.progress import Progress
from calibrant.core.tasks import Task, Words
from calibrant.stages.evaluate import Evaluation, Predictions, Predictor
from calibrant.studies.cached_results import CachedResults
from calibrant.studies.workers import Alone, ModelToMeasure, Workers

OK, STOPPED, FAILED = "ok", "stopped", "failed"


@dataclass(frozen=True)
class EvaluationResult:
    """How a measurement ended, and why it did before the end: the model failed, or was beaten.

    ``evaluation`` is of the samples at the positions ``seen``, in this order.
    """

    status: str
    evaluation: Evaluation | None = None
    seen: tuple[int, ...] = ()
    reason: str | None = None


class TrialEvaluator:
    """The test samples, what scores predictions on them, and what is known of them from earlier runs."""

    __test__ = False  # for pytest, which takes the name for a test's

    def __init__(
        self,
        task: Task,
        samples: Sequence[Any],
        kept: CachedResults,
        progress: Progress,
        workers: Workers | None = None,
    ) -> None:
        self.samples, self.progress = samples, progress
        self.workers: Workers = workers or Alone(task, samples)
        self._task, self._kept = task, kept
        self._ahead: dict[tuple[str, str | None], Predictions] = {}

    @property
    def metric(self) -> Metric:
        """What is measured."""
        return self._task.metric

    @property
    def words(self) -> Words:
        """What the samples are called."""
        return self._task.words

    @property
    def positions(self) -> tuple[int, ...]:
        """Of all samples."""
        return tuple(range(len(self.samples)))

    def evaluation(self, model: ModelToMeasure) -> Evaluation:
        """A model's score on all samples. Raises RuntimeFailedError when the runtime refuses it."""
        with (
            self.progress.stage(f"Evaluating {model.name}", len(self.samples)) as advance,
            self.running(model) as predictor,
        ):
            predictor.run(self.positions, advance)
            return predictor.evaluation(self.positions)

    def outcome(self, model: ModelToMeasure) -> EvaluationResult:
        """As :meth:`evaluation`; a model that fails is an outcome too."""
        return unless_it_fails(lambda: EvaluationResult(OK, self.evaluation(model), self.positions))

    @contextmanager
    def running(self, model: ModelToMeasure) -> Iterator[Predictor]:
        """A model under way: what it predicts is cached, also when it is cut off."""
        known = self._ahead.get((model.name, model.key)) or self._kept.predictions(model.key)
        with Predictor(self.workers.predicting(model), self._task, self.samples, known) as predictor:
            try:
                yield predictor
            finally:
                if self.workers.are_many:
                    self._ahead[model.name, model.key] = predictor.predictions
                if len(predictor.predictions.found) > len(known.found):
                    self._kept.keep_predictions(model.key, predictor.predictions)

    def on(self, seen: Sequence[int], evaluation: Evaluation) -> Evaluation:
        """An evaluation of all samples as it is on some of them."""
        found = tuple(evaluation.predictions[position] for position in seen)
        score = self._task.score([self.samples[position] for position in seen], found)
        return Evaluation(score, found, evaluation.seconds, evaluation.latency)

    def evidence_on(self, seen: Sequence[int], evaluation: Evaluation) -> Evidence:
        """The evidence of an evaluation of all samples on some of them."""
        found = [evaluation.predictions[position] for position in seen]
        return self._task.evidence([self.samples[position] for position in seen], found)


def unless_it_fails(measure: Callable[[], EvaluationResult]) -> EvaluationResult:
    """What ``measure`` returns, or the failed outcome. Raises OutputError, which is no fault of a model."""
    try:
        return measure()
    except OutputError:
        raise
    except CalibrantError as error:
        return EvaluationResult(FAILED, reason=str(error))
