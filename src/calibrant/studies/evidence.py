"""Each trial's evidence as a file, so that a later comparison can be paired, image by image."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.artifacts.store import write_bytes
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
    content = io.BytesIO()
    arrays: dict[str, Any] = dict(evidence.to_arrays())
    np.savez_compressed(content, **arrays)
    write_bytes(out / FOLDER / f"{name}.npz", content.getvalue())
    return f"{FOLDER}/{name}.npz"


def load_evidence(path: Path) -> MatchTable:
    """Read what :func:`save_evidence` wrote. Raises DataError when the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return MatchTable.from_arrays(dict(arrays))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the evidence {path}: {error}; run the study again") from error
