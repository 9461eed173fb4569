"""Each trial's evidence as a file, so that a later comparison can be paired, image by image."""

from __future__ import annotations

from pathlib import Path

from calibrant.artifacts.arrays import read_arrays, write_arrays
from calibrant.core.errors import DataError
from calibrant.core.types import Evidence, StorableEvidence
from calibrant.tasks.detection import MatchTable

FOLDER = "evidence"


def save_evidence(evidence: Evidence, out: Path, name: str) -> str | None:
    """Write ``evidence/<name>.npz`` in a run's folder and give its path there; None where it cannot be kept.

    Raises OutputError.
    """
    if not isinstance(evidence, StorableEvidence):
        return None
    write_arrays(out / FOLDER / f"{name}.npz", evidence.to_arrays())
    return f"{FOLDER}/{name}.npz"


def load_evidence(path: Path) -> MatchTable:
    """Read what :func:`save_evidence` wrote. Raises DataError when the file is missing or damaged."""
    try:
        return MatchTable.from_arrays(read_arrays(path))
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} holds no evidence: {error}; run the study again") from error
