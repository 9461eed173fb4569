"""diagnosis.json: a diagnosis as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import write_json
from calibrant.artifacts.versions import read_versioned
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.studies.diagnosis.result import READABLE, SCHEMA_VERSION, Diagnosis
from calibrant.studies.schema_1 import first_metric, renamed
from calibrant.tasks.registry import task_named

DIAGNOSIS = "diagnosis.json"
UNITS = (
    "scores and losses: the metric's; shares and agreement: fractions; SQNR: dB; ranges: the tensors' "
    "real units"
)


def diagnosis_to_dict(found: Diagnosis) -> dict[str, Any]:
    """A diagnosis as diagnosis.json holds it: JSON types only, floats in six significant digits."""
    return {"schema_version": SCHEMA_VERSION, "units": UNITS, **_plain(asdict(found))}


def diagnosis_from_dict(content: Mapping[str, Any]) -> Diagnosis:
    """A diagnosis of schema 1 or 2. Raises KeyError or TypeError for anything else."""
    if content["schema_version"] == 1:
        content = {**renamed(content), "metric": asdict(first_metric())}
    found = built(Diagnosis, content)
    kind = task_named(found.task).differences
    return replace(found, differences=tuple(built(kind, each) for each in found.differences) if kind else ())


def write_diagnosis(found: Diagnosis, folder: Path) -> None:
    """Write diagnosis.json into a run's folder. Raises OutputError."""
    write_json(folder / DIAGNOSIS, diagnosis_to_dict(found))


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read a run's diagnosis.json. Raises DataError when it is missing, damaged or of another version."""
    path = folder / DIAGNOSIS
    content = read_versioned(path, READABLE, f"make it again: calibrant diagnose {folder}")
    try:
        return diagnosis_from_dict(content)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no diagnosis: {error}; make it again: calibrant diagnose {folder}"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
