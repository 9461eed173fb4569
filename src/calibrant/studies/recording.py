"""Recording finished runs in the store: what their folders hold, in one call that never fails."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibrant.artifacts.runs_store.records import RunRecord
from calibrant.artifacts.runs_store.setting import is_off
from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.core.progress import Progress
from calibrant.studies.optimization.deliver import RECIPE
from calibrant.studies.optimization.result import OptimizationResult, read_optimization
from calibrant.studies.optimization.run import RESULT as OPTIMIZATION_FILE
from calibrant.studies.request import REQUEST, read_request
from calibrant.studies.result import StudyResult, Trial
from calibrant.studies.run import RESULT as STUDY_FILE
from calibrant.studies.run_files import read_as_written
from calibrant.studies.runs import load_run, named_runtime
from calibrant.studies.trial_evaluator import OK

STUDY, OPTIMIZATION = "study", "optimization"
RESULT_FILES = {STUDY: STUDY_FILE, OPTIMIZATION: OPTIMIZATION_FILE}
"""What kinds of run there are, and the file that each leaves in its folder."""


def record_run(folder: Path, progress: Progress) -> None:
    """Record what a finished run's folder holds. Its results stand already: whatever goes wrong is a note."""
    if is_off():
        return
    try:
        from calibrant.artifacts.runs_store.store import open_store

        store = open_store()
        for record in records_of(folder):
            store.put(record)
    except Exception as error:
        progress.note(f"not recorded: {' '.join(str(error).split()) or type(error).__name__}")


def records_of(folder: Path) -> tuple[RunRecord, ...]:
    """A folder's study, and its optimization. Raises DataError where it holds neither, or is damaged."""
    paths = {kind: folder / name for kind, name in RESULT_FILES.items() if (folder / name).is_file()}
    found = [_record(kind, path) for kind, path in paths.items() if _is_at_home(kind, path)]
    if not found:
        raise DataError(f"{folder} holds no run; give a folder that calibrant study or optimize wrote")
    return tuple(found)


def _is_at_home(kind: str, path: Path) -> bool:
    """Whether a result file is no copy, as an optimization leaves one with the study that it began with."""
    return kind != OPTIMIZATION or path.with_name(RECIPE).is_file()


def run_id(content: Mapping[str, Any]) -> str:
    """A hash of a result file's content: every finished run has its own, wherever its folder is."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _record(kind: str, path: Path) -> RunRecord:
    folder = path.parent
    with read_as_written(folder):
        found = load_run(folder).result if kind == STUDY else read_optimization(path)
        own = _of_study(found) if isinstance(found, StudyResult) else _of_optimization(found, folder)
        return built(RunRecord, {**_of_any(kind, found, run_id(read_json(path)), folder), **own})


def _of_study(found: StudyResult) -> dict[str, Any]:
    data, chosen = found.data, found.recommended
    tied = {chosen.calibrator, *chosen.tied} if chosen else set()
    return {
        "dataset": data.dataset,
        "test_ids_sha256": data.test_ids_sha256,
        "test_samples": data.test_samples,
        "calibration_samples": data.calibration_samples,
        "float_value": found.baseline.score.value,
        "recommended": chosen.calibrator if chosen else None,
        "trials": [_study_trial(trial, trial.calibrator in tied) for trial in found.trials],
    }


def _study_trial(trial: Trial, is_tied: bool) -> dict[str, Any]:
    lost, score = trial.loss, trial.score
    return {
        "name": trial.calibrator,
        "status": trial.status,
        "key": trial.key,
        "reason": trial.reason,
        "same_as": trial.same_as,
        "value": score.value if score else None,
        "loss": lost.value if lost else None,
        "loss_low": lost.low if lost else None,
        "loss_high": lost.high if lost else None,
        "samples": trial.samples,
        "median_ms": trial.latency.median_ms if trial.latency else None,
        "is_tied": is_tied,
        "figures": dict(trial.figures),
    }


def _of_optimization(found: OptimizationResult, folder: Path) -> dict[str, Any]:
    return {
        "dataset": read_request(folder).data if (folder / REQUEST).is_file() else "",
        "test_ids_sha256": "",
        "test_samples": found.report_samples,
        "calibration_samples": found.calibration_samples,
        "float_value": found.float_report.value,
        "recommended": found.chosen.name,
        "trials": [*_optimization_trials(found)],
    }


def _optimization_trials(found: OptimizationResult) -> Iterator[dict[str, Any]]:
    """The chosen model, the best single calibrator and the rest of the front, each once."""
    points = [found.chosen, found.best_single, *found.front]
    distinct = [point for index, point in enumerate(points) if point not in points[:index]]
    for point in distinct:
        reported = point.report
        yield {
            "name": point.name,
            "status": OK,
            "value": reported.value if reported else None,
            "loss": reported.loss.value if reported else None,
            "loss_low": reported.loss.low if reported else None,
            "loss_high": reported.loss.high if reported else None,
            "samples": found.report_samples,
            "median_ms": point.latency_ms,
        }


def _of_any(
    kind: str, found: StudyResult | OptimizationResult, identity: str, folder: Path
) -> dict[str, Any]:
    """What results of all kinds tell alike."""
    model, settings, environment, metric = found.model, found.settings, found.environment, found.metric
    name, *options = named_runtime(settings["runtime"])
    return {
        "id": identity,
        "kind": kind,
        "task": found.task,
        "metric": metric.name,
        "direction": metric.direction,
        "unit": metric.unit,
        "decimals": metric.decimals,
        "created": datetime.fromisoformat(found.created).astimezone(UTC),
        "model": Path(model.path).name,
        "model_path": model.path,
        "model_sha256": model.sha256,
        "family": model.family,
        "scheme": settings["scheme"],
        "runtime": ":".join(filter(None, [name, ",".join(options)])),
        "runtime_version": str(environment.get(name, "")),
        "device": environment.get("device"),
        "host": platform.node(),
        "folder": str(folder.absolute()),
        "settings": settings,
        "environment": environment,
    }
