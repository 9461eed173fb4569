"""Where a recorded run's folder is now, and deleting it when nothing else is in it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.checksums import CHECKSUMS, is_sound, read_checksums
from calibrant.artifacts.lock import LOCK
from calibrant.artifacts.runs_store.records import RunRecord
from calibrant.artifacts.store import occupied, read_json
from calibrant.core.errors import DataError, OutputError
from calibrant.studies.optimization.goal import GOAL
from calibrant.studies.optimization.run import MEASUREMENTS
from calibrant.studies.recording import RESULT_FILES, STUDY, records_of, run_id
from calibrant.studies.request import REQUEST, read_request
from calibrant.studies.run_files import read_as_written

HERE, CHANGED, GONE, ELSEWHERE = "here", "changed", "gone", "elsewhere"

# What commands write into a run's folder under names of their own, beside what has a checksum.
_OWN_NAMES = frozenset(
    {
        "study.json", "request.json", CHECKSUMS, LOCK, "diagnosis.json", "coverage.json", "selected.txt",
        GOAL,
        "report.html", "report.pdf", "report.md", "optimization.json", "optimized.recipe.yaml",
        "optimized.qdq.onnx", "optimized.qdq.onnx.data", "optimized.encodings.json", "optimized.cache",
        "optimized.float.onnx", "optimized.float.onnx.data",
    }
)  # fmt: skip


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
    if folder.is_symlink():
        raise DataError(f"{folder} is a link, which no run wrote; delete it by hand, then leave out --files")
    held = records_of(folder)
    try:
        with occupied(folder):
            written = _written(folder)
            _require_nothing_else(folder, written)
            for name in sorted(written):
                (folder / name).unlink(missing_ok=True)
            for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
                inner.rmdir()
        folder.rmdir()
    except OSError as error:
        raise OutputError(f"cannot delete {folder}: {error.strerror}; delete it by hand") from error
    return held


def _require_nothing_else(folder: Path, written: Set[str]) -> None:
    """Refuse a folder with anything but the files ``written``. Raises DataError."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).as_posix()
        is_folder_of_ours = path.is_dir() and any(name.startswith(f"{inner}/") for name in written)
        if path.is_symlink() or not (inner in written or is_folder_of_ours):
            raise DataError(
                f"{folder} also holds {inner}, which no run wrote, or changed since; delete it by hand, "
                "then leave out --files"
            )


def _written(folder: Path) -> set[str]:
    """What the run wrote and nobody has changed since, by what its own files say."""
    sums = read_checksums(folder)
    named = {name for name, told in sums.items() if is_sound(folder / name, told)}
    if not sums:  # an older version's run
        named |= set(_named_by_study(folder))
    of_parts = {
        f"{part.name}/{name}" for part in folder.iterdir() if _is_of_part(part) for name in _written(part)
    }
    return {*named, *_measured(folder / MEASUREMENTS), *_OWN_NAMES, *of_parts}


def _is_of_part(folder: Path) -> bool:
    """Whether a folder within a run's is the run of one part of its model."""
    try:
        return (folder / REQUEST).is_file() and read_request(folder).part == folder.name
    except DataError:
        return False


def _named_by_study(folder: Path) -> Iterator[str]:
    try:
        content = read_json(folder / RESULT_FILES[STUDY])
        trials = [content["baseline"], *content["trials"]]
    except (DataError, LookupError, TypeError):
        return
    yield "statistics.npz"
    for trial in trials:
        for name in (trial.get("evidence"), *(trial.get("files") or {}).values()):
            if isinstance(name, str):
                yield from (name, f"{name}.data")


def _measured(folder: Path) -> Iterator[str]:
    """What an optimization keeps of its measurements: each says whose it is and which evidence it has."""
    for path in sorted(folder.glob("*.json")):
        with suppress(DataError):
            content = read_json(path)
            if isinstance(content.get("identity"), str):
                yield f"{MEASUREMENTS}/{path.name}"
                yield f"{MEASUREMENTS}/{content.get('evidence')}"


def _id_of(path: Path) -> str | None:
    try:
        with read_as_written(path.parent):
            return run_id(read_json(path))
    except DataError:
        return None
