"""Where a recorded run's folder is now, and deleting it when nothing else is in it."""

from __future__ import annotations

import platform
import shutil
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from calibrant.artifacts.checksums import CHECKSUMS
from calibrant.artifacts.lock import LOCK, locked
from calibrant.artifacts.runs_store.records import RunRecord
from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError, OutputError
from calibrant.studies.recording import RESULT_FILES, records_of, run_id
from calibrant.studies.run_files import read_as_written

HERE, CHANGED, GONE, ELSEWHERE = "here", "changed", "gone", "elsewhere"

# What commands write into a run's folder. Names, not suffixes, wherever a user's own file could end alike.
_WRITTEN = (
    "study.json",
    "request.json",
    CHECKSUMS,
    LOCK,
    "statistics.npz",
    "float.onnx",
    "float.onnx.data",
    "*.qdq.onnx",
    "*.qdq.onnx.data",
    "*.encodings.json",
    "*.cache",
    "evidence/*.npz",
    "diagnosis.json",
    "coverage.json",
    "selected.txt",
    "report.html",
    "report.pdf",
    "report.md",
    "optimization.json",
    "optimized.recipe.yaml",
    "optimized.float.onnx",
    "optimized.float.onnx.data",
    "measurements/*.json",
    "measurements/evidence/*.npz",
)


@dataclass(frozen=True)
class RecordedRun:
    """A run as the store knows it, and whether its folder is still there.

    ``folder_is``: ``here``, ``gone``, ``elsewhere`` (on another machine), or ``changed``: its result file is
    no longer the one that was recorded.
    """

    run: RunRecord
    folder_is: str

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**asdict(self.run), "created": self.run.created.isoformat(), "folder_is": self.folder_is}


def looked_up(run: RunRecord) -> RecordedRun:
    """A run with what became of its folder."""
    return RecordedRun(run, _whereabouts(run))


def _whereabouts(run: RunRecord) -> str:
    path = Path(run.folder) / RESULT_FILES[run.kind]
    if path.is_file():
        return HERE if _id_of(path) == run.id else CHANGED
    return GONE if run.host == platform.node() else ELSEWHERE


def delete_folder(run: RunRecord) -> tuple[RunRecord, ...]:
    """Delete a run's folder, and give the runs that it held: this one, and another kind's in the same folder.

    Raises DataError unless it holds this very run and nothing that a run does not write, and OutputError
    with the system's reason.
    """
    folder = Path(run.folder)
    state = _whereabouts(run)
    if state != HERE:
        raise DataError(f"{folder} does not hold run {run.id[:8]} ({state}); leave out --files")
    foreign = next((path for path in sorted(folder.rglob("*")) if _is_foreign(path, folder)), None)
    if foreign is not None or folder.is_symlink():
        what = f"also holds {foreign.relative_to(folder)}" if foreign else "is a link"
        raise DataError(f"{folder} {what}, which no run wrote; delete it by hand, then leave out --files")
    held = records_of(folder)
    try:
        with locked(folder):
            shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"cannot delete {folder}: {error.strerror}; delete it by hand") from error
    return held


def _is_foreign(path: Path, folder: Path) -> bool:
    inner = path.relative_to(folder).as_posix()
    if path.is_dir() and not path.is_symlink():
        return not any(pattern.startswith(f"{inner}/") for pattern in _WRITTEN)
    depth = inner.count("/")
    return path.is_symlink() or not any(
        fnmatchcase(inner, pattern) and pattern.count("/") == depth for pattern in _WRITTEN
    )


def _id_of(path: Path) -> str | None:
    try:
        with read_as_written(path.parent):
            return run_id(read_json(path))
    except DataError:
        return None
