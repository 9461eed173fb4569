"""Files of schema 1, read as what schema 2 would have held.

It knew one task, and its keys had that task's words: they are named after nothing now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from calibrant.core.metrics import Metric
from calibrant.studies.plan import StudySettings
from calibrant.tasks.registry import task_named

FIRST_TASK = "detection"
"""What results of schema 1 are of."""


def first_metric() -> Metric:
    """What results of schema 1 measured."""
    return task_named(FIRST_TASK).metric


def renamed(content: Any) -> Any:
    """The same content with the keys of schema 2, at any depth."""
    if isinstance(content, Mapping):
        return {
            _key(name): value if name in _OF_THE_TASK else renamed(value)
            for name, value in _with_losses(content).items()
        }
    return [renamed(item) for item in content] if isinstance(content, list) else content


def _with_losses(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A drop was three numbers: {points, low, high}."""
    if content.keys() == {"points", "low", "high"}:
        return {"value": content["points"], "low": content["low"], "high": content["high"]}
    return content


def _key(name: str) -> str:
    words, metric = task_named(FIRST_TASK).words, first_metric().name
    name = re.sub(rf"(?<![a-z]){words.samples}(?![a-z])", "samples", name)
    name = re.sub(rf"(?<![a-z]){words.sample}(?![a-z])", "sample", name)
    return _NAMES.get(name, name.replace(metric, "value"))


_OF_THE_TASK = frozenset({"detections", "profile"})
"""What only the task reads: its own words stay."""

_NAMES = {
    "drop": "loss",
    "drop_alone": "lost_alone",
    "rest_drop": "lost_without",
    "detections": "differences",
    "max_drop": "max_loss",
    "float_map": "float_value",
}


def settings_from_schema_1(settings: Mapping[str, Any], own: tuple[str, ...] = ()) -> dict[str, Any]:
    """A run's settings; ``own`` are those of its kind, which no study has."""
    kept = {_NAMES.get(name, name): settings[name] for name in own if name in settings}
    rest = {name: value for name, value in settings.items() if name not in own}
    return {**StudySettings.from_dict(rest).to_dict(), **kept}


def coverage_from_schema_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """A study of calibration sets."""
    found: dict[str, Any] = renamed(content)
    settings = settings_from_schema_1(content["settings"], ("shuffles", "budget"))
    return {**found, "task": FIRST_TASK, "metric": asdict(first_metric()), "settings": settings}


def optimization_from_schema_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """An optimization."""
    metric = first_metric()
    found: dict[str, Any] = renamed(content)
    gain, low, high = content["gain_over_single"]
    return {
        **found,
        "task": FIRST_TASK,
        "metric": asdict(metric),
        "settings": settings_from_schema_1(content["settings"], ("max_drop", "least_int8")),
        **{
            part: {"metric": metric.name, "value": content[part][metric.name]}
            for part in ("float_select", "float_report")
        },
        **{name: _point(content[name]) for name in ("chosen", "best_single")},
        "front": [_point(point) for point in content["front"]],
        "gain_over_single": {"value": gain, "low": low, "high": high},
        "ablation": [
            {
                "technique": _technique(each),
                "value": each[metric.name],
                "gain": {"value": each["gain"], "low": each["low"], "high": each["high"]},
            }
            for each in content["ablation"]
        ],
    }


def _technique(ablation: Mapping[str, Any]) -> str:
    """The technique that was left out, in today's words."""
    name = str(ablation["lever"])
    return "mixed precision" if name == "sparing" else name


def _point(point: Mapping[str, Any]) -> dict[str, Any]:
    return {**point, "select": _part(point["select"]), "report": point["report"] and _part(point["report"])}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    lost = {"value": part["drop"], "low": part["low"], "high": part["high"]}
    return {"value": part[first_metric().name], "loss": lost}


# --- a study --------------------------------------------------------------------------------------


def study_from_schema_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """A study."""
    definition = task_named(content.get("task", FIRST_TASK))
    metric, words = definition.metric, definition.words
    recommended = content["recommended"]
    return {
        **content,
        "task": definition.name,
        "metric": asdict(metric),
        "settings": settings_from_schema_1(content["settings"]),
        "data": _data_from_schema_1(content["data"], words.samples, words.labels),
        "baseline": {**content["baseline"], **_scored(content["baseline"], metric)},
        "trials": [_trial_from_schema_1(trial, metric, words.samples) for trial in content["trials"]],
        "recommended": recommended and {**recommended, "held_out_loss": recommended.get("held_out_drop")},
    }


def _data_from_schema_1(data: Mapping[str, Any], samples: str, labels: str) -> dict[str, Any]:
    return {
        **data,
        "test_samples": data[f"test_{samples}"],
        "facts": {labels: data[f"test_{labels}"], "classes": data["classes"]},
        "calibration_samples": data[f"calibration_{samples}"],
        "samples_in_both": data[f"{samples}_in_both"],
    }


_NO_FIGURES = frozenset(
    {
        "calibrator",
        "key",
        "status",
        "reason",
        "drop",
        "drop_ci95",
        "seconds",
        "latency",
        "evidence",
        "files",
        "same_as",
    }
)


def _scored(entry: Mapping[str, Any], metric: Metric, samples: str = "") -> dict[str, Any]:
    """The score, and all other figures: what is neither is known by name."""
    value = entry.get(metric.name)
    others = {name: entry[name] for name in entry if name not in {*_NO_FIGURES, metric.name, samples}}
    return {
        "score": None if value is None else {"metric": metric.name, "value": value},
        "figures": {} if value is None else others,
    }


def _trial_from_schema_1(trial: Mapping[str, Any], metric: Metric, samples: str) -> dict[str, Any]:
    low, high = trial.get("drop_ci95") or (trial.get("drop"), trial.get("drop"))
    return {
        **trial,
        **_scored(trial, metric, samples),
        "loss": None if trial.get("drop") is None else {"value": trial["drop"], "low": low, "high": high},
        "samples": trial.get(samples),
        "recipe": {"calibrator": trial["calibrator"]},
    }
