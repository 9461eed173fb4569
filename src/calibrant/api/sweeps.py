"""Sweeps: many studies as one table, each run by itself, here or by an executor's processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.api.studies import ExecutionOptions, opened, study_in
from calibrant.artifacts.store import require_writable, write_json
from calibrant.core.clock import Clock
from calibrant.core.errors import CalibrantError, OutputError, SettingsError
from calibrant.core.progress import Advance, Progress, Silent
from calibrant.reports.sweep_files import write_sweep_reports
from calibrant.runtimes import REFERENCE, gpus_of, on_one_core, runtime_named
from calibrant.studies.pipelines.prepare import PipelineStudy, open_to_run
from calibrant.studies.recording import record_run
from calibrant.studies.request import StudyRequest
from calibrant.studies.run import Study
from calibrant.studies.sweep.plan import SweepRun, read_sweep
from calibrant.studies.sweep.result import (
    OK,
    SWEEP,
    Row,
    SweepResult,
    failed,
    finished,
    lost_from,
    row_of,
    waiting,
)


def sweep(
    file: PathLike,
    *,
    out: PathLike | None = None,
    executor: str | None = None,
    cache: bool = True,
    diagnose_budget: float | None = 0.0,
    trust: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Study every model on every data set under every scheme and runtime that a YAML file names.

    Runs that ``out`` (default ``runs/<file's name>``) holds already are found again; a run that fails is a
    row that says why. With an executor whole runs are handed out where there are as many as it has slots, so
    that each is made where its engine lies; else the shards of one run after the other. trust: the file
    itself, where it names programs or calibrators of other packages. overwrite: other runs in ``out``
    are replaced. Other arguments as for study.
    Raises SettingsError or DataError for a file that does not say what to do, OutputError.
    """
    listener, source = progress or Silent(), Path(file)
    runs = read_sweep(source, _is_trusted(source, trust))
    folder = _folder(source, out)
    lost = lost_from(folder, runs)
    if lost and not overwrite:
        raise OutputError(
            f"{folder} holds another sweep ({SWEEP} has {lost[0]}, which {source} has not); give another "
            "folder with --out, or --overwrite to have its table replaced"
        )
    require_writable(folder)
    rows = {row.run: row for row in _so_far(runs, folder)}
    todo = [run for run in runs if rows[run.name] == waiting(run)]
    if len(todo) < len(runs):
        listener.note(f"{len(runs) - len(todo)} of {len(runs)} runs are found again in {folder}")
    result = SweepResult(
        str(folder), str(source), datetime.now(UTC).isoformat(timespec="seconds"), tuple(rows.values()), 0.0
    )
    clock = Clock()
    with opened(executor) as workers, listener.stage("Runs", len(todo)) as advance:
        how = ExecutionOptions(cache, diagnose_budget, workers, overwrite=overwrite)
        for row in _rows(todo, folder, how, listener):
            rows[row.run] = row
            result = replace(result, rows=tuple(rows.values()), seconds=round(clock.spent, 3))
            if not lost:  # else the other sweep's table stays until this one is whole
                write_json(folder / SWEEP, result.to_dict())
            advance()
    write_json(folder / SWEEP, result.to_dict())
    write_sweep_reports(result, folder, listener)
    return result


def plan_sweep(
    file: PathLike, *, out: PathLike | None = None, trust: PathLike | None = None
) -> tuple[Row, ...]:
    """The rows of a sweep as they are now, nothing run: those still to do are waiting. Raises as sweep."""
    source = Path(file)
    return _so_far(read_sweep(source, _is_trusted(source, trust)), _folder(source, out))


def runs_of(
    file: PathLike, out: PathLike | None = None, trust: PathLike | None = None
) -> tuple[Path, Sequence[SweepRun]]:
    """The folder of a sweep, and its runs. Raises as sweep."""
    source = Path(file)
    return _folder(source, out), read_sweep(source, _is_trusted(source, trust))


def _is_trusted(source: Path, trust: PathLike | None) -> bool:
    """Whether the user has named this very file. Raises SettingsError where he has named another."""
    if trust is None:
        return False
    if Path(trust).resolve() != source.resolve():
        raise SettingsError(f"--trust names {trust}, not the file of this sweep; write --trust {source}")
    return True


def _folder(source: Path, out: PathLike | None) -> Path:
    """Where a sweep's runs are."""
    return Path(out) if out is not None else Path("runs") / source.stem


def _so_far(runs: Sequence[SweepRun], folder: Path) -> tuple[Row, ...]:
    """Each run's row by what the folder holds of it."""
    return tuple(finished(run, folder / run.name) or waiting(run) for run in runs)


@dataclass(frozen=True)
class WholeRun:
    """A run as work for another process, which writes its folder."""

    run: SweepRun
    folder: str
    cache: bool
    diagnose_budget: float | None
    overwrite: bool = False

    @property
    def gpus(self) -> int:
        """One where the runtime computes on GPUs: its engines are built and run there."""
        return gpus_of(self.run.runtime)

    def __call__(self) -> tuple[Row, tuple[str, ...]]:
        """Run it on one core. Gives its row and its notes; an error is a row, too."""
        notes = _Kept()
        how = ExecutionOptions(self.cache, self.diagnose_budget, overwrite=self.overwrite)
        return _row(self.run, Path(self.folder), how, notes, _open_on_one_core), tuple(notes.texts)


class _Kept(Silent):
    """Keeps notes for whoever asked for the run."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.texts.append(text)


class _Named:
    """Says with every note which run it is about."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress

    def stage(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Show a stage as it is."""
        return self._progress.stage(title, total)

    def note(self, text: str) -> None:
        """Pass it on with the name."""
        self._progress.note(f"{self._name}: {text}")


def _rows(runs: Sequence[SweepRun], folder: Path, how: ExecutionOptions, progress: Progress) -> Iterator[Row]:
    """Each run's row, as it is finished."""
    gpus = max((gpus_of(run.runtime) for run in runs), default=0)
    if how.executor is None or len(runs) < how.executor.slots(gpus):
        for run in runs:
            yield _row(run, folder / run.name, how, _Named(run.name, progress))
        return
    place, under_way = folder.absolute(), dict[Future[tuple[Row, tuple[str, ...]]], SweepRun]()
    try:
        for run in runs:
            work = WholeRun(run, str(place / run.name), how.cache, how.diagnose_budget, how.overwrite)
            try:
                under_way[how.executor.submit(work)] = run
            except CalibrantError as error:  # a GPU that no machine has
                yield failed(run, str(error))
        for done in as_completed(list(under_way)):
            run = under_way.pop(done)
            yield _answer(run, place / run.name, done, progress)
    finally:
        for future in under_way:
            future.cancel()


def _answer(
    run: SweepRun, folder: Path, done: Future[tuple[Row, tuple[str, ...]]], progress: Progress
) -> Row:
    """A run's row; one whose every process died is a row, too."""
    try:
        row, notes = done.result()
    except CalibrantError as error:
        return failed(run, str(error))
    for note in notes:
        progress.note(f"{run.name}: {note}")
    if row.status == OK:  # the worker's machine may have a store of its own
        record_run(folder, progress)
    return row


def _row(
    run: SweepRun,
    folder: Path,
    how: ExecutionOptions,
    progress: Progress,
    opening: Callable[[StudyRequest, Progress], Study | PipelineStudy] = open_to_run,
) -> Row:
    """Make one run. Whatever is wrong with it is wrong with it alone."""
    try:
        return row_of(run, study_in(folder, run.request, opening(run.request, progress), how, progress))
    except CalibrantError as error:
        return failed(run, str(error))
    except Exception as error:  # a bug of ours, or of a vendor's; the other runs may not have it
        words = " ".join(str(error).split())[:300]
        return failed(run, f"{type(error).__name__}: {words}; please report it")


def _open_on_one_core(request: StudyRequest, progress: Progress) -> Study | PipelineStudy:
    """A study for a process that shares its machine with as many others as that has cores."""
    runtime = runtime_named(on_one_core(request.settings.runtime), progress)
    collector = runtime_named(on_one_core(REFERENCE))
    opened = open_to_run(request, progress, runtime=runtime)
    if isinstance(opened, Study):
        return replace(opened, collector=collector)
    studies = opened.studies.items()
    return opened.with_studies({part: replace(study, collector=collector) for part, study in studies})
