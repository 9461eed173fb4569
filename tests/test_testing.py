"""The conformance cases let good plugins pass, and each catches the fault it is there for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.calibrators import minmax
from calibrant.core.errors import RuntimeFailedError
from calibrant.core.metrics import Evidence, Metric, Score
from calibrant.core.statistics import TensorStatistics
from calibrant.core.tasks import Task
from calibrant.core.types import IntArray, Observer, QuantSpec, Range, Session
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.testing import CalibratorConformance, RuntimeConformance, TaskConformance

# --- calibrators ----------------------------------------------------------------------------------------


def _random(stats: TensorStatistics, spec: QuantSpec) -> Range:
    amax = stats.amax * float(np.random.default_rng().uniform(0.5, 1))
    return Range(-amax, amax)


def _meddling(stats: TensorStatistics, spec: QuantSpec) -> Range:
    stats.histogram.counts[0] += 1
    return minmax(stats, spec)


FAULTY_CALIBRATORS: dict[str, tuple[Callable[[TensorStatistics, QuantSpec], Range], str]] = {
    "random": (_random, "test_it_is_pure"),
    "meddling": (_meddling, "test_it_is_pure"),
    "not a number": (lambda stats, spec: Range(-np.nan, np.nan), "test_the_range_is_finite_and_ordered"),
    "reversed": (lambda stats, spec: Range(stats.amax, -stats.amax), "test_the_range_is_finite_and_ordered"),
    "lopsided": (
        lambda stats, spec: Range(stats.low, stats.high),
        "test_a_symmetric_target_gets_a_symmetric_range",
    ),
    "boundless": (
        lambda stats, spec: Range(-2 * stats.amax, 2 * stats.amax),
        "test_it_stays_within_what_was_seen",
    ),
    "overflowing": (lambda stats, spec: Range(-1e300, 1e300), "test_the_range_can_be_stored"),
    "half": (
        lambda stats, spec: Range(-stats.amax / 2, stats.amax / 2),
        "test_a_tensor_of_one_value_keeps_it",
    ),
    "absolute": (
        lambda stats, spec: Range(-min(stats.amax, 6), min(stats.amax, 6)),
        "test_it_scales_with_its_input",
    ),
    "unasked": (lambda stats, spec: Range(-1, 1), "test_nothing_seen_is_refused"),
}


@pytest.mark.parametrize(("calibrator", "test"), FAULTY_CALIBRATORS.values(), ids=FAULTY_CALIBRATORS)
def test_a_faulty_calibrator_is_caught(
    calibrator: Callable[[TensorStatistics, QuantSpec], Range], test: str
) -> None:
    cases = CalibratorConformance()
    cases.calibrator = calibrator
    with pytest.raises(AssertionError), np.errstate(over="ignore", invalid="ignore"):
        getattr(cases, test)()


# --- runtimes -------------------------------------------------------------------------------------------


class _RecordsTwice(OnnxRuntime):
    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> Any:
        return super().record(model, [*tensors, *tensors], observe)


class _RecordsSomethingElse(OnnxRuntime):
    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> Any:
        return super().record(
            model, tensors, lambda tensor, *parts: observe(tensor, *(part + 1 for part in parts))
        )


class _OpensAnything(OnnxRuntime):
    def open(self, model: Path) -> Any:
        try:
            return super().open(model)
        except Exception:
            return None


class _NeverCloses(OnnxRuntime):
    def open(self, model: Path) -> Any:
        session = super().open(model)
        session.close = lambda: None  # type: ignore[method-assign]
        return session


def _only(feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The one input, whatever a case calls it."""
    return next(iter(feeds.values()))


class _RoundsUp(OnnxRuntime):
    def open(self, model: Path) -> Any:
        return _RoundingUp(super().open(model))


@dataclass
class _RoundingUp:
    session: Session

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {name: np.floor(_only(feeds) + 0.5) for name in self.session.run(feeds)}

    def __enter__(self) -> _RoundingUp:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


class _SharesOneBuffer(OnnxRuntime):
    """Several threads write their input to the same place before they run."""

    def open(self, model: Path) -> Any:
        return _SharedBuffer(super().open(model))


class _SharedBuffer(_RoundingUp):
    concurrency = 4

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.input = _only(feeds)
        time.sleep(0.001)
        return {"same": self.input}


class _OneSessionForAll(OnnxRuntime):
    def open(self, model: Path) -> Any:
        self.only = getattr(self, "only", None) or super().open(model)
        return self.only


FAULTY_RUNTIMES = {
    "records twice": (_RecordsTwice(), "test_recording_shows_what_the_graph_computes"),
    "records other values": (_RecordsSomethingElse(), "test_recording_shows_what_the_graph_computes"),
    "opens anything": (_OpensAnything(), "test_files_that_are_no_model_are_refused"),
    "never closes": (_NeverCloses(), "test_closing_ends_it"),
    "rounds half up": (_RoundsUp(), "test_quantization_rounds_and_saturates_as_onnx_says"),
    "mixes threads": (_SharesOneBuffer(), "test_runs_under_way_at_once_do_not_mix"),
    "changes what it is given": (_RoundsUp(), "test_arrays_go_in_and_come_out_by_name"),
}


def test_a_runtime_with_one_session_for_all_is_caught(tmp_path: Path) -> None:
    cases = RuntimeConformance()
    cases.runtime = _OneSessionForAll()
    with pytest.raises((RuntimeFailedError, KeyError)):
        cases.test_sessions_do_not_know_each_other(tmp_path)


@pytest.mark.parametrize(("runtime", "test"), FAULTY_RUNTIMES.values(), ids=FAULTY_RUNTIMES)
def test_a_faulty_runtime_is_caught(runtime: OnnxRuntime, test: str, tmp_path: Path) -> None:
    cases = RuntimeConformance()
    cases.runtime = runtime
    with pytest.raises(AssertionError):
        getattr(cases, test)(tmp_path)


# --- tasks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hits:
    hits: NDArray[np.float64]

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = weights @ self.hits / weights.sum(axis=1)
        return shares


ACCURACY = Metric("accuracy")


class _Naming(Task):
    metric = ACCURACY
    """Name the sample; the metric is the share of right names."""

    name = "naming"

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Any]) -> Sequence[Any]:
        return samples

    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        return float(np.mean([a == b for a, b in zip(reference, found, strict=True)]))

    def interpret(self, raw: Any, sample: Any) -> Any:
        return raw

    def score(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Score:
        return self._scored([s == p for s, p in zip(samples, predictions, strict=True)])

    def _scored(self, hits: Sequence[bool]) -> Score:
        found = np.asarray(hits, np.float64)
        return Score(ACCURACY, float(found.mean()), (), _Hits(found))


class TestATaskThatConforms(TaskConformance):
    task: Task = _Naming()
    best, worst = 1.0, 0.0

    def samples(self) -> Sequence[Any]:
        return ["a", "b", "c", "d"]

    def perfect(self, sample: Any) -> Any:
        return sample

    def nothing(self, sample: Any) -> Any:
        return ""


class _Generous(_Naming):
    def _scored(self, hits: Sequence[bool]) -> Score:
        score = super()._scored(hits)
        return Score(score.metric, 0.02 + 0.97 * score.value, (), score.evidence)


class _DeafToWeights(_Naming):
    def _scored(self, hits: Sequence[bool]) -> Score:
        found = np.asarray(hits, np.float64)
        return Score(ACCURACY, float(found.mean()), (), _Fixed(float(found.mean())))


@dataclass(frozen=True)
class _Fixed:
    value: float

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        return np.full(len(weights), self.value)


class _CountsTheFirstOnly(_Naming):
    def _scored(self, hits: Sequence[bool]) -> Score:
        return Score(ACCURACY, float(hits[0]), (), _Hits(np.asarray(hits, np.float64)))


class _CountsErrors(_Naming):
    """A metric of which less is better, told as if more were."""

    def _scored(self, hits: Sequence[bool]) -> Score:
        found = 1 - np.asarray(hits, np.float64)
        return Score(ACCURACY, float(found.mean()), (), _Hits(found))


class _WeighsOtherwise(_Naming):
    """Gives evidence alone, of predictions that are all right."""

    def evidence(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Evidence:
        return self.score(samples, samples).evidence


FAULTY_TASKS = {
    "never perfect": (_Generous(), "test_the_ends_are_as_they_are_known"),
    "something for nothing": (_Generous(), "test_the_ends_are_as_they_are_known"),
    "evidence of something else": (_Generous(), "test_each_sample_once_is_the_score_itself"),
    "the wrong direction": (_CountsErrors(), "test_right_is_better_than_nothing"),
    "deaf to weights": (_DeafToWeights(), "test_a_weight_of_zero_leaves_a_sample_out"),
    "evidence of its own": (_WeighsOtherwise(), "test_evidence_alone_is_that_of_the_score"),
    "depends on the order": (_CountsTheFirstOnly(), "test_the_order_of_the_samples_does_not_matter"),
}


@pytest.mark.parametrize(("task", "test"), FAULTY_TASKS.values(), ids=FAULTY_TASKS)
def test_a_faulty_task_is_caught(task: _Naming, test: str) -> None:
    cases = TestATaskThatConforms()
    cases.task = task
    with pytest.raises(AssertionError):
        getattr(cases, test)()
