"""Each trial's evidence as a file, so that a later comparison can be paired, sample by sample."""

from __future__ import annotations

from pathlib import Path

from calibrant.artifacts.arrays import read_arrays, write_arrays
from calibrant.core.errors import DataError
from calibrant.core.metrics import Evidence, StorableEvidence
from calibrant.core.own_metric import own_evidence
from calibrant.tasks.registry import task_named

FOLDER = "evidence"


def save_evidence(evidence: Evidence, out: Path, name: str) -> str | None:
    """Write ``evidence/<name>.npz`` in a run's folder and give its path there; None where it cannot be kept.

    Raises OutputError.
    """
    if not isinstance(evidence, StorableEvidence):
        return None
    write_arrays(out / FOLDER / f"{name}.npz", evidence.to_arrays())
    return f"{FOLDER}/{name}.npz"


def load_evidence(path: Path, task: str) -> Evidence:
    """Read what :func:`save_evidence` wrote for a task.

    Raises DataError when the file is missing or damaged.
    """
    try:
        arrays = read_arrays(path)
        return own_evidence(arrays) or task_named(task).evidence_from(arrays)
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} holds no evidence: {error}; run the study again") from error
