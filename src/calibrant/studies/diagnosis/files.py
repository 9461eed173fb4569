"""diagnosis.json: a diagnosis as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import read_json, write_json
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.studies.diagnosis.result import SCHEMA_VERSION, Diagnosis

DIAGNOSIS = "diagnosis.json"
UNITS = (
    "mAP, AP and drops: points, 0..100; shares, agreement, scores, F1 and IoU: fractions; SQNR: dB; "
    "ranges: the tensors' real units"
)


def diagnosis_to_dict(found: Diagnosis) -> dict[str, Any]:
    """A diagnosis as diagnosis.json holds it: JSON types only, floats in six significant digits."""
    return {"schema_version": SCHEMA_VERSION, "units": UNITS, **_plain(asdict(found))}


def diagnosis_from_dict(content: Mapping[str, Any]) -> Diagnosis:
    """The diagnosis that :func:`diagnosis_to_dict` gave. Raises KeyError or TypeError for anything else."""
    return built(Diagnosis, content)


def write_diagnosis(found: Diagnosis, folder: Path) -> None:
    """Write diagnosis.json into a run's folder. Raises OutputError."""
    write_json(folder / DIAGNOSIS, diagnosis_to_dict(found))


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read a run's diagnosis.json. Raises DataError when it is missing, damaged or of another version."""
    path = folder / DIAGNOSIS
    content = read_json(path)
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {content.get('schema_version')}, not {SCHEMA_VERSION}; "
            f"make it again: calibrant diagnose {folder}"
        )
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
