"""The store of runs: what was measured so far, on which models, and where it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.artifacts.runs_store.records import RunRecord
from calibrant.core.errors import StoreError
from calibrant.studies.recording import STUDY, records_of
from calibrant.studies.run_folders import GONE, RecordedRun, delete_folder, looked_up


def list_runs(
    *, model: str | None = None, runtime: str | None = None, kind: str | None = None, limit: int | None = None
) -> tuple[RecordedRun, ...]:
    """Recorded runs, newest first.

    model: a file name, its stem, or the first digits of its hash. runtime: with or without options.
    kind: "study" or "optimization". limit: at most so many. Raises StoreError.
    """
    from calibrant.artifacts.runs_store.store import Wanted, open_store

    return _looked_up(open_store().newest(Wanted(model, runtime, kind), limit))


def best_runs(*, model: str | None = None, runtime: str | None = None) -> tuple[RecordedRun, ...]:
    """For each model, scheme and runtime the run to rely on: on the most test images, newest among equals.

    What it recommends is the best calibrator known. Picking the highest figure of several runs instead would
    favour the luckiest. Raises StoreError.
    """
    from calibrant.artifacts.runs_store.store import Wanted, open_store

    return _looked_up(open_store().best(Wanted(model, runtime)))


def run_history(model: str, *, runtime: str | None = None) -> tuple[RecordedRun, ...]:
    """A model's recorded studies, oldest first. Arguments as for list_runs.

    Raises StoreError, also where there is none.
    """
    found = list_runs(model=model, runtime=runtime, kind=STUDY)
    if not found:
        raise StoreError(f"no study of {model!r} is recorded; calibrant runs list shows the models that are")
    return found[::-1]


def show_run(run: str) -> RecordedRun:
    """One recorded run, by the first digits of its id. Raises StoreError."""
    from calibrant.artifacts.runs_store.store import open_store

    return looked_up(open_store().get(run))


def add_runs(folders: Sequence[PathLike]) -> tuple[RecordedRun, ...]:
    """Record the runs that folders hold: of other machines, of before there was a store, or all again.

    Raises DataError for a folder that holds no run, before any is recorded, and StoreError.
    """
    from calibrant.artifacts.runs_store.store import open_store

    found = [record for folder in folders for record in records_of(Path(folder))]
    store = open_store()
    for record in found:
        store.put(record)
    return _looked_up(found)


def remove_runs(runs: Sequence[str], *, files: bool = False) -> tuple[RecordedRun, ...]:
    """Forget recorded runs, by the first digits of their ids; files: and delete their folders.

    A folder is deleted only when it holds this very run and nothing else; what else it recorded is forgotten
    with it. Raises StoreError, DataError or OutputError; runs before the one that fails are gone by then.
    """
    from calibrant.artifacts.runs_store.store import open_store

    store = open_store()
    found = {run.id: run for run in (store.get(start) for start in runs)}
    removed = _looked_up(found.values())
    for recorded in removed:
        held = delete_folder(recorded.run) if files and recorded.folder_is != GONE else ()
        store.remove([recorded.run.id, *(run.id for run in held)])
    return removed


def _looked_up(runs: Iterable[RunRecord]) -> tuple[RecordedRun, ...]:
    return tuple(map(looked_up, runs))
