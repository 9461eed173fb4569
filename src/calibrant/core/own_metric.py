"""A metric of the user's own: a function of a sample and a prediction, with a stated direction.

    @calibrant.metric(direction="minimize", unit="points")
    def missed(sample, prediction):
        return lost_labels(sample, prediction), len(sample.labels)

A sample's value is a number, or a pair of sums (amount, count); the score is the sum of amounts by the sum of
counts, so it has intervals like any other. Where a task has a metric of its own it becomes a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import CalibrantError, SettingsError
from calibrant.core.metrics import MAXIMIZE, MINIMIZE, Figure, IntArray, Metric, Score
from calibrant.core.tasks import Differences, Evaluated, Look, ResultCache, Task
from calibrant.core.types import Session

_AMOUNTS, _COUNTS = "own_amounts", "own_counts"


@dataclass(frozen=True)
class OwnMetric:
    """A metric, and what gives each sample's value.

    of: (sample, prediction), or (sample, prediction, the float model's prediction) where ``needs_reference``.
    source: how it is named on the command line, "module:function".
    """

    metric: Metric
    of: Callable[..., Any]
    needs_reference: bool = False
    source: str = ""

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives: it stays usable where it is defined."""
        return self.of(*arguments)


def metric(
    direction: Literal["maximize", "minimize"],
    *,
    name: str | None = None,
    unit: str = "points",
    scale: float = 100.0,
    decimals: int = 1,
    needs_reference: bool = False,
) -> Callable[[Callable[..., Any]], OwnMetric]:
    """Make a function (sample, prediction) -> number, or (amount, count), a metric for ``--metric``.

    sample: as the task reads it, with ``id`` and its labels. prediction: what the task makes of the model's
    outputs (docs/own-metric.md has both for every task). A sample without a value gives None or nan.
    direction: which is better, "maximize" or "minimize". name: as results hold it; None: the function's.
    unit, scale: what people are shown is ``scale`` times the value, in ``unit``. needs_reference: the
    function gets the float model's prediction as a third argument. Raises SettingsError for another one.
    """
    if direction not in (MAXIMIZE, MINIMIZE):
        raise SettingsError(f"{direction!r} is no direction; use {MAXIMIZE!r} or {MINIMIZE!r}")

    def named(function: Callable[..., Any]) -> OwnMetric:
        told = Metric(
            name or function.__name__, unit=unit, direction=direction, scale=scale, decimals=decimals
        )
        return OwnMetric(told, function, needs_reference, f"{function.__module__}:{function.__qualname__}")

    return named


@dataclass(frozen=True, eq=False)
class Ratios:
    """Evidence of a metric that is a sum of amounts by a sum of counts: one of each for every sample."""

    amounts: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The metric of all samples; nan where nothing counts."""
        return float(self.resample(np.ones((1, len(self.counts)), np.int64))[0])

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """The metric for each row of weights, (R,)."""
        amounts, counts = weights @ self.amounts, weights @ self.counts
        found: NDArray[np.float64] = np.divide(
            amounts, counts, out=np.full(len(counts), np.nan), where=counts != 0
        )
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {_AMOUNTS: self.amounts, _COUNTS: self.counts}


def own_evidence(arrays: Mapping[str, NDArray[Any]]) -> Ratios | None:
    """The evidence of a user's own metric in a file's arrays; None: they are a task's."""
    if arrays.keys() != {_AMOUNTS, _COUNTS}:
        return None
    amounts, counts = (np.asarray(arrays[name], np.float64) for name in (_AMOUNTS, _COUNTS))
    if amounts.ndim != 1 or amounts.shape != counts.shape:
        raise ValueError("amounts and counts are not of one set of samples")
    return Ratios(amounts, counts)


class ScoredBy(Task):
    """A task that is scored by a user's own metric; all else is the task's."""

    def __init__(self, task: Task, own: OwnMetric, references: Mapping[str, Any] | None = None) -> None:
        self._task, self._own, self._references = task, own, references or {}
        self.name, self.words, self.parts, self.batch = task.name, task.words, task.parts, task.batch
        self.needs_reference = task.needs_reference or own.needs_reference

    @property
    def metric(self) -> Metric:
        """The user's."""
        return self._own.metric

    def score(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Score:
        """By the user's function; the task's own metric and figures stand beside it.

        Raises CalibrantError where the function fails or gives what is no value.
        """
        found = self.evidence(samples, predictions)
        theirs = self._task.score(samples, predictions)
        beside = Figure(theirs.metric.name, theirs.metric.stored(theirs.value), theirs.metric.unit)
        return Score(self.metric, found.value, (*theirs.figures, beside), found)

    def evidence(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Ratios:
        """An amount and a count of every sample."""
        pairs = [self._of(sample, found) for sample, found in zip(samples, predictions, strict=True)]
        values = np.array(pairs, np.float64).reshape(-1, 2)
        return Ratios(values[:, 0].copy(), values[:, 1].copy())

    def _of(self, sample: Any, prediction: Any) -> tuple[float, float]:
        asked = (sample, prediction)
        if self._own.needs_reference:
            asked = (*asked, self._references.get(sample.id))  # type: ignore[assignment]
        try:
            found = self._own.of(*asked)
            amount, count = found if isinstance(found, tuple) else (found, 1.0)
            if amount is None or math.isnan(amount):
                return 0.0, 0.0
            pair = float(amount), float(count)
        except CalibrantError:
            raise
        except Exception as error:
            raise SettingsError(
                f"metric {self._own.source} fails on {sample.id!r}: {type(error).__name__}: {error}"
            ) from error
        if not (all(map(math.isfinite, pair)) and pair[1] >= 0):
            raise SettingsError(
                f"metric {self._own.source} gives {found!r} for {sample.id!r}; give a number, or an amount "
                "and a count of 0 or more"
            )
        return pair

    def referring_to(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Self:
        """The same, knowing what the float model predicts."""
        known = {sample.id: found for sample, found in zip(samples, predictions, strict=True)}
        return type(self)(self._task.referring_to(samples, predictions), self._own, known)

    def remembering(self, cache: ResultCache) -> Self:
        """The same, with the task's memory."""
        return type(self)(self._task.remembering(cache), self._own, self._references)

    def differences(
        self, calibrator: str, samples: Sequence[Any], reference: Evaluated, found: Evaluated
    ) -> Differences | None:
        """As the task tells them, which knows its own scores."""
        both = (
            replace(each, score=self._task.score(samples, each.predictions)) for each in (reference, found)
        )
        return self._task.differences(calibrator, samples, *both)

    # --- the rest is the task's ------------------------------------------------------------------------

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Any]) -> Sequence[Any]:
        """As the task does."""
        return self._task.drive(sessions, samples)

    def interpret(self, raw: Any, sample: Any) -> Any:
        """As the task does."""
        return self._task.interpret(raw, sample)

    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        """As the task does."""
        return self._task.agreement(reference, found)

    def check(self, raw: Any, sample: Any) -> None:
        """As the task does."""
        self._task.check(raw, sample)

    def pack(self, predictions: Sequence[Any]) -> Mapping[str, NDArray[Any]] | None:
        """As the task does."""
        return self._task.pack(predictions)

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        """As the task does."""
        return self._task.unpack(arrays)

    def digest(self, sample: Any) -> bytes | None:
        """As the task does."""
        return self._task.digest(sample)

    def memory(self, sample: Any) -> int:
        """As the task does."""
        return self._task.memory(sample)

    @property
    def prediction_bytes(self) -> int:
        """As of the task."""
        return self._task.prediction_bytes

    @property
    def prepared_bytes(self) -> int:
        """As of the task."""
        return self._task.prepared_bytes

    def picture(self, raw: Any, sample: Any) -> tuple[str, bytes] | None:
        """As the task does."""
        return self._task.picture(raw, sample)

    def describe(self, sample: Any, prediction: Any | None = None) -> Look | None:
        """As the task does."""
        return self._task.describe(sample, prediction)
