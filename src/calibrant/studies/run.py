"""Running a study: calibrate once, measure the float model and every candidate, recommend."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from calibrant.artifacts.cache import Cache
from calibrant.artifacts.checksums import CHECKSUMS, write_checksums
from calibrant.artifacts.statistics import write_statistics
from calibrant.artifacts.store import json_bytes, remove, write_bytes
from calibrant.calibrators import NamedCalibrator
from calibrant.core.executor import Executor
from calibrant.core.metrics import Metric
from calibrant.core.progress import Progress
from calibrant.core.tasks import Task
from calibrant.core.types import Runtime, Sample, Statistics
from calibrant.models.onnx.model import needs_a_copy, save_model
from calibrant.stages.collect import collect
from calibrant.stages.evaluate import Evaluation, require_readable
from calibrant.stages.remote.collecting import collect_by
from calibrant.stages.remote.files import NamedFile
from calibrant.stages.remote.predicting import ModelToOpen
from calibrant.studies import remarks
from calibrant.studies.cached_results import CachedResults
from calibrant.studies.candidates import QuantPlan, write_candidates
from calibrant.studies.deploy import format_for, observed_model
from calibrant.studies.environment import environment
from calibrant.studies.evidence import save_evidence
from calibrant.studies.other_floats import measured_floats
from calibrant.studies.plan import StudySettings, TrialContext
from calibrant.studies.result import Baseline, DataSummary, ModelSummary, ScoreValue, StudyResult, figures_of
from calibrant.studies.run_files import written_files
from calibrant.studies.trial_evaluator import TrialEvaluator
from calibrant.studies.trials import Deployment, cache_key, run_trials
from calibrant.studies.verdict import BASELINE, with_verdict
from calibrant.studies.workers import ModelToMeasure, Shared
from calibrant.tasks.registry import presented

T = TypeVar("T")

RESULT = "study.json"
STATISTICS = "statistics.npz"


@dataclass(frozen=True)
class Study:
    """Everything a study needs, checked before the work begins.

    ``float_model`` is the file that the baseline runs; ``calibration`` and ``test`` are samples in order.
    Statistics come from ``collector``, in float; models are measured on ``runtime``.
    ``calibration_sha256`` is over the calibration samples' contents; empty: not known.
    """

    plan: QuantPlan
    float_model: Path
    task: Task
    collector: Runtime
    runtime: Runtime
    calibration: Sequence[Sample]
    test: Sequence[Any]
    calibrators: Sequence[NamedCalibrator]
    settings: StudySettings
    context: TrialContext
    model: ModelSummary
    data: DataSummary
    warnings: tuple[str, ...] = ()
    calibration_sha256: str = ""

    @property
    def metric(self) -> Metric:
        """What its models are measured by."""
        return self.task.metric


@dataclass(frozen=True)
class Beforehand:
    """What was measured once for several parts of a model: see run_study.

    seconds: of collecting the statistics.
    """

    statistics: Statistics
    baseline: Evaluation
    seconds: float


def run_study(
    study: Study,
    out: Path,
    progress: Progress,
    cache: Cache | None = None,
    executor: Executor | None = None,
    beforehand: Beforehand | None = None,
) -> StudyResult:
    """Run ``study`` and write study.json and each candidate's files into ``out``.

    A calibrator or candidate that fails is a failed trial; the study goes on. What earlier runs left in
    ``cache`` is not computed again. executor: who runs the models, with the same results; None: this process.
    beforehand: what need not be measured here.
    """
    kept = CachedResults(cache, study.task, (study.runtime, study.collector))
    evaluator = evaluator_of(study, kept, progress, executor)
    written_as = format_for(study.runtime, study.plan.model.as_given, study.plan.scheme)
    tensors = written_as.tensors(study.plan)
    if beforehand:
        statistics, collecting = beforehand.statistics, beforehand.seconds
    else:
        statistics, collecting = _timed(lambda: _collected(study, tensors, kept, out, progress, executor))
    unseen = len(study.plan.tensors)
    study = replace(study, plan=study.plan.observed(statistics.tensors))
    unseen -= len(study.plan.tensors)
    with fixed_float_model(study, out) as float_model:
        study = replace(study, float_model=float_model)
        if study.runtime.name != study.collector.name:
            require_readable(study.collector, float_model, study.task, study.test)
        baseline = beforehand.baseline if beforehand else evaluator.evaluation(float_model_of(study))
    found = (*remarks.on_empty(unseen, study.task.words), *_remarks(study, statistics, baseline))
    for remark in found:
        progress.note(remark)
    # Nothing is written before it is sure that model and data fit.
    remove(out / RESULT)
    remove(out / CHECKSUMS)
    write_statistics(out / STATISTICS, statistics)
    candidates, writing = _timed(
        lambda: write_candidates(study.plan, statistics, study.calibrators, out, written_as)
    )
    candidates = tuple(replace(each, exclude=study.settings.exclude) for each in candidates)
    trials, measured = run_trials(_deployment(study), candidates, baseline, evaluator, study.settings, out)
    others = measured_floats(study.runtime, study.float_model, study.context, evaluator, baseline)
    found = (*found, *remarks.on_builds(baseline.latency, trials))
    result = StudyResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=study.model,
        environment=environment(study.runtime),
        settings=study.settings.to_dict(),
        data=study.data,
        metric=study.task.metric,
        baseline=Baseline(
            ScoreValue.of(baseline.score),
            figures_of(baseline.score),
            round(baseline.seconds, 3),
            baseline.latency,
            save_evidence(baseline.score.evidence, out, BASELINE),
        ),
        trials=trials,
        recommended=None,
        calibration_seconds=round(collecting + writing, 3),
        warnings=(*study.warnings, *found),
        task=study.task.name,
        other_floats=others,
    )
    finished = with_verdict(result, study.calibrators, study.settings, baseline, measured)
    content = json_bytes(finished.to_dict())
    names = [STATISTICS, *written_files(finished, out), *_own_copy(float_model, out)]
    write_checksums(out, names, {RESULT: content})
    write_bytes(out / RESULT, content)
    return finished


def _own_copy(float_model: Path, out: Path) -> list[str]:
    """The files of the float model, where it had to be copied."""
    if float_model.parent != out:
        return []
    return [name for name in (float_model.name, f"{float_model.name}.data") if (out / name).is_file()]


def evaluator_of(
    study: Study, kept: CachedResults, progress: Progress, executor: Executor | None
) -> TrialEvaluator:
    """What a study's models are measured by."""
    if executor is None:
        return TrialEvaluator(kept.remembering(study.task, len(study.test)), study.test, kept, progress)
    workers = Shared(executor, study.task, study.test)
    return TrialEvaluator(study.task, study.test, kept, progress, workers)


def _collected(
    study: Study,
    tensors: Sequence[str],
    kept: CachedResults,
    out: Path,
    progress: Progress,
    executor: Executor | None,
) -> Statistics:
    observed = observed_model(study.runtime, study.plan.model, study.plan.scheme)

    def collected() -> Statistics:
        what = (observed, tensors, study.task)
        if executor is None:
            return collect(*what, study.collector, study.calibration, progress)
        return collect_by(executor, *what, study.collector.name, study.calibration, out, progress)

    return kept.statistics(statistics_decided_by(study, tensors), collected)


def statistics_decided_by(study: Study, tensors: Sequence[str]) -> dict[str, Any] | None:
    """All that decides a study's statistics; None: the samples' contents are not known."""
    if not study.calibration_sha256:
        return None
    return {
        "model": study.context.model_sha256,
        "input_shape": study.settings.input_shape,
        "profile": study.context.profile,
        "tensors": tensors,
        "ids": [sample.id for sample in study.calibration],
        "contents": study.calibration_sha256,
    }


def float_model_of(study: Study) -> ModelToMeasure:
    """The float model, to be measured."""
    key = study.context.key({}, method="float")

    def sent() -> ModelToOpen:
        return ModelToOpen(study.settings.runtime, NamedFile.of(study.float_model))

    opened = partial(study.runtime.open, study.float_model)
    return ModelToMeasure("FP32", opened, sent, cache_key(study.context, key))


def _deployment(study: Study) -> Deployment:
    return Deployment(
        study.runtime, study.collector, study.task, study.calibration, study.float_model, study.context
    )


def _remarks(study: Study, statistics: Statistics, baseline: Evaluation) -> tuple[str, ...]:
    return (
        *remarks.on_counts(presented(study.task.name), study.data),
        *remarks.on_activations(statistics, study.plan.tensors, study.task.words),
        *remarks.on_score(baseline.score, study.model.family),
    )


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What ``work`` returns, and how many seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


@contextmanager
def fixed_float_model(study: Study, out: Path) -> Iterator[Path]:
    """The float model's file: a copy in ``out`` where it cannot run as it is, gone if that fails."""
    if study.settings.input_shape is None and not needs_a_copy(study.plan.model):
        yield study.float_model
        return
    copy = out / "float.onnx"
    save_model(study.plan.model.as_given.ir, copy)
    try:
        yield copy
    except BaseException:
        remove(copy)
        raise
