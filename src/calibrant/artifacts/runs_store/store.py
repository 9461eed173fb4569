"""Recording runs, and asking for them. Writers take turns, so that several processes may write at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Select,
    delete,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DataError, SQLAlchemyError

from calibrant.artifacts.runs_store.location import BEGIN, engine_of, store_url
from calibrant.artifacts.runs_store.migrating import (
    REVISIONS,
    known_revisions,
    needs_upgrade,
    revision_of,
    upgrade,
)
from calibrant.artifacts.runs_store.records import RunRecord, TrialRecord
from calibrant.artifacts.runs_store.setting import OFF, VARIABLE, is_off
from calibrant.artifacts.runs_store.tables import FIGURES, RUNS, TRIALS
from calibrant.core.errors import StoreError
from calibrant.core.urls import without_secrets

SHORTEST_ID = 4
_UNFIT = (ValueError, OverflowError, RecursionError)
"""What values raise that no column can hold: halves of letters, huge numbers, endless nesting."""
_DAMAGED = ("malformed",)
"""What SQLite says of a file that is none of its own any more."""
_WRITERS_LOCK = 0x43414C4942  # any number, the same for all writers of one PostgreSQL database


@dataclass(frozen=True)
class Wanted:
    """Which runs are asked for; None: any. ``model``: a file name, its stem, or the start of a hash."""

    model: str | None = None
    runtime: str | None = None
    kind: str | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """As SQL."""
        if self.model is not None:
            names = (self.model, f"{self.model}.onnx")
            yield or_(RUNS.c.model.in_(names), _begins_with(RUNS.c.model_sha256, self.model))
        if self.runtime is not None:
            yield or_(
                RUNS.c.runtime == self.runtime, RUNS.c.runtime.startswith(f"{self.runtime}:", autoescape=True)
            )
        if self.kind is not None:
            yield RUNS.c.kind == self.kind


class RunsStore:
    """Runs in a database. Every method raises StoreError when the database cannot be used."""

    def __init__(self, url: URL, revisions: Path = REVISIONS) -> None:
        self._url = url
        self._engine = engine_of(url)
        known = known_revisions(revisions)
        with self._reading() as connection:
            is_old = needs_upgrade(revision_of(connection), known)
        if is_old:
            with self._writing() as connection:  # another process may have been first
                if needs_upgrade(revision_of(connection), known):
                    upgrade(connection, revisions)

    @property
    def place(self) -> str:
        """The store's file, or its URL without the password."""
        if self._url.get_backend_name() == "sqlite":
            return self._url.database or "memory"
        return without_secrets(self._shown, self._shown)

    @property
    def _shown(self) -> str:
        return self._url.render_as_string(hide_password=False)

    def put(self, run: RunRecord) -> None:
        """Record a run; one that is known under its id is replaced."""
        values = {column.name: getattr(run, column.name) for column in RUNS.columns}
        places = [{"run_id": run.id, "position": position} for position in range(len(run.trials))]
        trials = [{**place, **_columns(trial)} for place, trial in zip(places, run.trials, strict=True)]
        figures = [
            {**place, "metric": name, "value": value}
            for place, trial in zip(places, run.trials, strict=True)
            for name, value in trial.figures.items()
        ]
        with self._writing() as connection:
            _delete(connection, run.id)
            connection.execute(insert(RUNS).values(values))
            if trials:
                connection.execute(insert(TRIALS), trials)
            if figures:
                connection.execute(insert(FIGURES), figures)

    def get(self, start_of_id: str) -> RunRecord:
        """The one run whose id begins so. Raises StoreError where there is none, or several."""
        found = self._runs(select(RUNS).where(_begins_with(RUNS.c.id, start_of_id)).limit(2))
        if len(found) == 1:
            return found[0]
        if found:
            raise StoreError(f"several runs have ids that begin with {start_of_id}; give more of it")
        raise StoreError(
            f"no run has the id {start_of_id!r}; calibrant runs list shows the ids that there are"
        )

    def newest(self, wanted: Wanted = Wanted(), limit: int | None = None) -> tuple[RunRecord, ...]:
        """Runs, newest first; limit: at most so many."""
        newest_first = (RUNS.c.created.desc(), RUNS.c.id)
        return self._runs(select(RUNS).where(*wanted.conditions()).order_by(*newest_first).limit(limit))

    def best(self, wanted: Wanted = Wanted()) -> tuple[RunRecord, ...]:
        """For each model, scheme, runtime and kind of run the one on the most test samples, else the newest.

        Runs that recommend nothing are left out. Sorted by model, scheme and runtime.
        """
        place = func.row_number().over(
            partition_by=(RUNS.c.model_sha256, RUNS.c.scheme, RUNS.c.runtime, RUNS.c.kind),
            order_by=(RUNS.c.test_samples.desc(), RUNS.c.created.desc(), RUNS.c.id),
        )
        usable = (*wanted.conditions(), RUNS.c.recommended.is_not(None))
        placed = select(RUNS.c.id, place.label("place")).where(*usable).subquery()
        first = select(placed.c.id).where(placed.c.place == 1)
        order = (RUNS.c.model, RUNS.c.model_sha256, RUNS.c.scheme, RUNS.c.runtime, RUNS.c.kind.desc())
        return self._runs(select(RUNS).where(RUNS.c.id.in_(first)).order_by(*order))

    def count(self, wanted: Wanted = Wanted()) -> int:
        """How many runs there are."""
        with self._reading() as connection:
            return connection.execute(
                select(func.count()).select_from(RUNS).where(*wanted.conditions())
            ).scalar_one()

    def remove(self, ids: Sequence[str]) -> None:
        """Forget runs, by their whole ids."""
        with self._writing() as connection:
            for run_id in ids:
                _delete(connection, run_id)

    def _runs(self, chosen: Select[Any]) -> tuple[RunRecord, ...]:
        ids = select(chosen.subquery().c.id)
        trials = select(TRIALS).where(TRIALS.c.run_id.in_(ids)).order_by(TRIALS.c.run_id, TRIALS.c.position)
        figures = select(FIGURES).where(FIGURES.c.run_id.in_(ids))
        with self._reading() as connection:
            runs = connection.execute(chosen).mappings().all()
            rows = connection.execute(trials).mappings().all()
            told = connection.execute(figures).mappings().all()
        of_trial: dict[tuple[str, int], dict[str, float | None]] = {}
        for row in told:
            of_trial.setdefault((row["run_id"], row["position"]), {})[row["metric"]] = row["value"]
        of_run = {
            run_id: tuple(_trial(row, of_trial.get((run_id, row["position"]), {})) for row in group)
            for run_id, group in groupby(rows, lambda row: row["run_id"])
        }
        return tuple(RunRecord(**run, trials=of_run.get(run["id"], ())) for run in runs)

    def _damaged(self, words: str) -> StoreError:
        return StoreError(
            f"the store of runs {self.place} is damaged: {words}; move it away, and add the runs' folders "
            "to a new one: calibrant runs add RUN..."
        )

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._told(), self._engine.begin() as connection:
            try:
                yield connection
            except (*_UNFIT, TypeError, KeyError) as error:
                raise self._damaged(" ".join(str(error).split())[:200]) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that no other writer is in."""
        with self._told(), self._engine.connect() as opened:
            connection = opened.execution_options(**{BEGIN: "IMMEDIATE"})
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITERS_LOCK})
                yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong in the database as one line, without the password that a URL may hold."""
        try:
            yield
        except (SQLAlchemyError, *_UNFIT) as error:
            cause = getattr(error, "orig", None) or error
            said = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
            words = without_secrets(said, self._shown)
            if isinstance(error, DataError) or isinstance(cause, _UNFIT):
                raise StoreError(f"a run holds what no database takes: {words}; run it again") from error
            if any(sign in words for sign in _DAMAGED):
                raise self._damaged(words) from error
            raise StoreError(
                f"the store of runs {self.place} cannot be used: {words}; "
                f"set {VARIABLE} to another, or to {OFF}"
            ) from error


def open_store() -> RunsStore:
    """The user's store, made or brought to the newest schema where that is needed. Raises StoreError."""
    if is_off():
        raise StoreError(f"the store of runs is turned off ({VARIABLE}={OFF}); unset {VARIABLE} to use it")
    return RunsStore(store_url())


def _delete(connection: Connection, run_id: str) -> None:
    connection.execute(delete(FIGURES).where(FIGURES.c.run_id == run_id))
    connection.execute(delete(TRIALS).where(TRIALS.c.run_id == run_id))
    connection.execute(delete(RUNS).where(RUNS.c.id == run_id))


def _begins_with(column: ColumnElement[str], start: str) -> ColumnElement[bool]:
    """Whether a hash begins so; less than four digits of it name none."""
    start = start.lower()
    return column.startswith(start, autoescape=True) if len(start) >= SHORTEST_ID else column == start


def _columns(trial: TrialRecord) -> dict[str, Any]:
    """What the table of trials holds of one."""
    return {name: value for name, value in asdict(trial).items() if name != "figures"}


def _trial(row: Any, figures: dict[str, float | None]) -> TrialRecord:
    named = {name: row[name] for name in TrialRecord.__dataclass_fields__ if name != "figures"}
    return TrialRecord(**named, figures=figures)
