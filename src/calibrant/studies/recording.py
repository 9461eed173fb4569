"""Recording finished runs in the store: what their folders hold, in one call that never fails."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibrant.artifacts.runs_store.records import RunRecord
from calibrant.artifacts.runs_store.setting import is_off
from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.core.progress import Progress
from calibrant.studies.measuring import OK
from calibrant.studies.optimization.deliver import RECIPE
from calibrant.studies.optimization.run import RESULT as OPTIMIZATION_FILE
from calibrant.studies.request import REQUEST, read_request
from calibrant.studies.run import RESULT as STUDY_FILE
from calibrant.studies.run_files import read_as_written
from calibrant.studies.runs import load_run, named_runtime

STUDY, OPTIMIZATION = "study", "optimization"
RESULT_FILES = {STUDY: STUDY_FILE, OPTIMIZATION: OPTIMIZATION_FILE}
"""What kinds of run there are, and the file that each leaves in its folder."""

_READABLE = 1
"""The schema version of an optimization."""
_FIRST_TASK = "detection"
"""What results are of that name no task."""


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
    content = load_run(folder).content if kind == STUDY else _optimization(path)
    with read_as_written(folder):
        return built(RunRecord, {**_of_any(kind, content, folder), **_MAKERS[kind](content, folder)})


def _optimization(path: Path) -> Mapping[str, Any]:
    content = read_json(path)
    if content.get("schema_version") != _READABLE:
        raise DataError(
            f"{path} has schema version {content.get('schema_version')}, not {_READABLE}; optimize again"
        )
    return content


def _of_study(content: Mapping[str, Any], _folder: Path) -> dict[str, Any]:
    data, chosen = content["data"], content["recommended"] or {}
    tied = {chosen.get("calibrator"), *chosen.get("tied", ())}
    return {
        **{name: data[name] for name in ("dataset", "test_ids_sha256", "test_images", "calibration_images")},
        "float_map50_95": content["baseline"]["map50_95"],
        "recommended": chosen.get("calibrator"),
        "trials": [_study_trial(trial, trial["calibrator"] in tied) for trial in content["trials"]],
    }


def _study_trial(trial: Mapping[str, Any], is_tied: bool) -> dict[str, Any]:
    """Only what every study.json has is required: older ones lack some of the rest."""
    low, high = trial.get("drop_ci95") or (None, None)
    as_they_are = ("status", "key", "reason", "same_as", "map50_95", "map50", "drop", "images")
    return {
        **{name: trial[name] for name in as_they_are if name in trial},
        "name": trial["calibrator"],
        "drop_low": low,
        "drop_high": high,
        "median_ms": (trial.get("latency") or {}).get("median_ms"),
        "is_tied": is_tied,
    }


def _of_optimization(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "dataset": read_request(folder).data if (folder / REQUEST).is_file() else "",
        "test_ids_sha256": "",
        "test_images": content["report_images"],
        "calibration_images": content["calibration_images"],
        "float_map50_95": content["float_report"]["map50_95"],
        "recommended": content["chosen"]["name"],
        "trials": [*_optimization_trials(content)],
    }


def _optimization_trials(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chosen model, the best single calibrator and the rest of the front, each once."""
    points = [content["chosen"], content["best_single"], *content["front"]]
    distinct = [point for index, point in enumerate(points) if point not in points[:index]]
    for point in distinct:
        loss = point["report"]
        yield {
            "name": point["name"],
            "status": OK,
            "map50_95": loss["map50_95"],
            "drop": loss["drop"],
            "drop_low": loss["low"],
            "drop_high": loss["high"],
            "images": content["report_images"],
            "median_ms": point["latency_ms"],
        }


def _of_any(kind: str, content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What results of all kinds tell alike."""
    model, settings, environment = content["model"], content["settings"], content["environment"]
    name, *options = named_runtime(settings["runtime"])
    return {
        "id": run_id(content),
        "kind": kind,
        "task": content.get("task", _FIRST_TASK),
        "created": datetime.fromisoformat(content["created"]).astimezone(UTC),
        "model": Path(model["path"]).name,
        "model_path": model["path"],
        "model_sha256": model["sha256"],
        "family": model["family"],
        "scheme": settings["scheme"],
        "runtime": ":".join(filter(None, [name, ",".join(options)])),
        "runtime_version": str(environment.get(name, "")),
        "device": environment.get("device"),
        "host": platform.node(),
        "folder": str(folder.absolute()),
        "settings": settings,
        "environment": environment,
    }


_MAKERS: dict[str, Callable[[Mapping[str, Any], Path], dict[str, Any]]] = {
    STUDY: _of_study,
    OPTIMIZATION: _of_optimization,
}
