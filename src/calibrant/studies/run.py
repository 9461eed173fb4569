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

from calibrant.artifacts.statistics import write_statistics
from calibrant.artifacts.store import remove, write_json
from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError, OutputError
from calibrant.core.progress import Progress
from calibrant.core.types import Runtime, Sample, Statistics, Task
from calibrant.graph.model import keeps_shapes_outside, save_model
from calibrant.stages.collect import collect
from calibrant.stages.evaluate import Evaluation, evaluate
from calibrant.studies import remarks
from calibrant.studies.candidates import CandidateModel, QuantizationPlan, write_candidates
from calibrant.studies.deploy import (
    calibration_method,
    format_for,
    open_candidate,
    tensorrt_cache_of,
)
from calibrant.studies.environment import environment
from calibrant.studies.evidence import save_evidence
from calibrant.studies.plan import StudySettings, TrialContext
from calibrant.studies.result import (
    Baseline,
    DataSummary,
    ModelSummary,
    StudyResult,
    Trial,
    TrialFiles,
    accuracy_of,
)
from calibrant.studies.verdict import BASELINE, Measured, with_verdict

T = TypeVar("T")

RESULT = "study.json"
STATISTICS = "statistics.npz"


@dataclass(frozen=True)
class Study:
    """Everything a study needs, checked before the work begins.

    ``float_model`` is the file that the baseline runs; ``calibration`` and ``test`` are samples in order.
    Statistics come from ``collector``, in float; models are measured on ``runtime``.
    """

    plan: QuantizationPlan
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


def run_study(study: Study, out: Path, progress: Progress) -> StudyResult:
    """Run ``study`` and write study.json and each candidate's files into ``out``.

    A calibrator or candidate that fails is a failed trial; the study goes on.
    """
    written_as = format_for(study.runtime, study.plan.model)
    tensors = written_as.tensors(study.plan)
    statistics, collecting = _timed(lambda: _collected(study, tensors, progress))
    with _fixed_float_model(study, out) as float_model:
        study = replace(study, float_model=float_model)
        baseline = evaluate(
            lambda: study.runtime.open(float_model), study.task, study.test, "Evaluating FP32", progress
        )
    found = _remarks(study, statistics, baseline)
    for remark in found:
        progress.note(remark)
    # Nothing is written before it is sure that model and data fit.
    remove(out / RESULT)
    write_statistics(out / STATISTICS, statistics)
    candidates, writing = _timed(
        lambda: write_candidates(study.plan, statistics, study.calibrators, out, written_as)
    )
    trials, measured = _run_trials(study, candidates, out, progress)
    result = StudyResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=study.model,
        environment=environment(study.runtime),
        settings=study.settings.to_dict(),
        data=study.data,
        baseline=Baseline(
            accuracy_of(baseline.score),
            round(baseline.seconds, 3),
            baseline.latency,
            save_evidence(baseline.score.evidence, out, BASELINE),
        ),
        trials=trials,
        recommended=None,
        calibration_seconds=round(collecting + writing, 3),
        warnings=(*study.warnings, *found),
    )
    finished = with_verdict(result, study.calibrators, study.settings.seed, baseline, measured)
    write_json(out / RESULT, finished.to_dict())
    return finished


def _collected(study: Study, tensors: Sequence[str], progress: Progress) -> Statistics:
    return collect(study.plan.model, tensors, study.task, study.collector, study.calibration, progress)


def _remarks(study: Study, statistics: Statistics, baseline: Evaluation) -> tuple[str, ...]:
    return (
        *remarks.on_count(len(study.test)),
        *remarks.on_activations(statistics, study.plan.tensors),
        *remarks.on_score(accuracy_of(baseline.score).map50_95, study.model.family),
    )


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What ``work`` returns, and how many seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _run_trials(
    study: Study, candidates: Sequence[CandidateModel], out: Path, progress: Progress
) -> tuple[tuple[Trial, ...], dict[str, Measured]]:
    """Measure each distinct candidate once; equal encodings share a measurement."""
    trials: list[Trial] = []
    by_key: dict[str, Measured] = {}
    for candidate in candidates:
        name = candidate.calibrator.name
        if candidate.failure is not None:
            trials.append(Trial(name, "", "failed", candidate.failure))
            continue
        key = study.context.key(candidate.encodings, calibration_method(study.runtime, candidate))
        if key in by_key:
            twin = by_key[key].trial
            trials.append(
                replace(
                    twin, calibrator=name, files=_shared_files(candidate, out, twin), same_as=twin.calibrator
                )
            )
            continue
        trial, evaluation = _measure(study, candidate, key, out, progress)
        trials.append(trial)
        if evaluation is not None:
            by_key[key] = Measured(trial, evaluation)
    return tuple(trials), by_key


def _measure(
    study: Study, candidate: CandidateModel, key: str, out: Path, progress: Progress
) -> tuple[Trial, Evaluation | None]:
    name = candidate.calibrator.name
    try:
        evaluation = evaluate(
            partial(
                open_candidate,
                study.runtime,
                candidate,
                study.float_model,
                study.task,
                study.collector,
                study.calibration,
            ),
            study.task,
            study.test,
            f"Evaluating {name}",
            progress,
        )
    except OutputError:
        raise
    except CalibrantError as error:
        return Trial(name, key, "failed", str(error), files=_files(candidate, out)), None
    trial = Trial(
        name,
        key,
        "ok",
        accuracy=accuracy_of(evaluation.score),
        seconds=round(evaluation.seconds, 3),
        latency=evaluation.latency,
        files=replace(
            _files(candidate, out), evidence=save_evidence(evaluation.score.evidence, out, key[:16])
        ),
    )
    return trial, evaluation


@contextmanager
def _fixed_float_model(study: Study, out: Path) -> Iterator[Path]:
    """The float model's file: a copy in ``out`` where it cannot run as it is, gone if that fails."""
    if study.settings.imgsz is None and not keeps_shapes_outside(study.plan.model):
        yield study.float_model
        return
    copy = out / "float.onnx"
    save_model(study.plan.model.ir, copy)
    try:
        yield copy
    except BaseException:
        remove(copy)
        raise


def _shared_files(candidate: CandidateModel, out: Path, twin: Trial) -> TrialFiles:
    return replace(_files(candidate, out), evidence=twin.files.evidence if twin.files else None)


def _files(candidate: CandidateModel, out: Path) -> TrialFiles:
    assert candidate.qdq is not None
    assert candidate.encodings_file is not None
    own = tensorrt_cache_of(candidate.cache) if candidate.cache else None
    return TrialFiles(
        cache=candidate.cache.relative_to(out).as_posix() if candidate.cache else None,
        qdq=candidate.qdq.relative_to(out).as_posix(),
        encodings=candidate.encodings_file.relative_to(out).as_posix(),
        tensorrt_cache=own.relative_to(out).as_posix() if own and own.exists() else None,
    )
