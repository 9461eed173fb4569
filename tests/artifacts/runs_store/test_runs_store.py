"""The store of runs, on SQLite and on a real PostgreSQL: what goes in comes out, however it is asked for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_records import BROKEN, RUN, made
from sqlalchemy import make_url, text

from calibrant.artifacts.runs_store.location import engine_of
from calibrant.artifacts.runs_store.records import TrialRecord
from calibrant.artifacts.runs_store.store import RunsStore, Wanted
from calibrant.core.errors import StoreError
from postgresql_cluster import Cluster

WRITERS, RUNS_EACH = 2, 8


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite+pysqlite:///{tmp_path / 'deep' / 'runs.sqlite'}"
    made_url: str = request.getfixturevalue("postgresql").new_database()
    return made_url


@pytest.fixture
def store(url: str) -> RunsStore:
    return RunsStore(make_url(url))


def test_a_run_comes_out_as_it_went_in(store: RunsStore, url: str) -> None:
    store.put(RUN)
    assert RunsStore(make_url(url)).newest() == (RUN,)


# No NUL, which PostgreSQL's text cannot hold, and no halves of surrogate pairs, which are no text.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
POINTS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TRIALS = st.builds(
    TrialRecord, name=WORDS, status=WORDS, key=WORDS, reason=st.none() | WORDS, value=POINTS, loss=POINTS,
    samples=st.none() | st.integers(0, 2**31 - 1), is_tied=st.booleans(),
)  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    trials=st.lists(TRIALS, max_size=4).map(tuple),
    created=st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.timezones()),
    words=WORDS,
    settings_=st.dictionaries(WORDS, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS),
)
def test_whatever_is_recorded_is_found(
    store: RunsStore,
    trials: tuple[TrialRecord, ...],
    created: datetime,
    words: str,
    settings_: dict[str, object],
) -> None:
    run = replace(
        RUN, trials=trials, created=created.astimezone(UTC), folder=words, model=words, settings=settings_
    )
    store.put(run)
    assert store.get(run.id) == run


def test_recording_again_replaces(store: RunsStore) -> None:
    store.put(RUN)
    moved = replace(RUN, folder="/elsewhere", trials=(BROKEN,))
    store.put(moved)
    assert store.newest() == (moved,)


def test_the_newest_come_first_and_can_be_limited(store: RunsStore) -> None:
    runs = [made(number) for number in range(5)]
    for run in (runs[3], runs[0], runs[4], runs[2], runs[1]):
        store.put(run)
    assert store.newest() == tuple(reversed(runs))
    assert store.newest(limit=2) == (runs[4], runs[3])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(model="yolo.onnx"), {1, 2, 3}),
        (Wanted(model="yolo"), {1, 2, 3}),
        (Wanted(model="EF01ef"), {4}),
        (Wanted(model="ef"), set()),
        (Wanted(model="%"), set()),
        (Wanted(runtime="tensorrt"), {2, 3}),
        (Wanted(runtime="tensorrt:precision=fp16"), {3}),
        (Wanted(kind="optimization"), {4}),
        (Wanted(model="yolo", runtime="onnxruntime", kind="study"), {1}),
    ],
)
def test_runs_are_chosen_by_model_runtime_and_kind(store: RunsStore, wanted: Wanted, found: set[int]) -> None:
    runs = {
        1: made(1),
        2: made(2, runtime="tensorrt"),
        3: made(3, runtime="tensorrt:precision=fp16"),
        4: made(4, model="other.onnx", model_sha256="ef01" * 16, kind="optimization"),
    }
    for run in runs.values():
        store.put(run)
    assert {run.id for run in store.newest(wanted)} == {runs[number].id for number in found}


def test_the_best_is_of_the_most_images_and_else_the_newest(store: RunsStore) -> None:
    few, most, newest_of_most = made(9, test_samples=30), made(1), made(2)
    other_runtime, nothing = (
        made(3, runtime="tensorrt", test_samples=20),
        made(10, recommended=None, trials=()),
    )
    other_model = made(4, model="a.onnx", model_sha256="ef" * 32)
    for run in (newest_of_most, few, most, other_runtime, nothing, other_model):
        store.put(run)
    assert store.best() == (other_model, newest_of_most, other_runtime)
    assert store.best(Wanted(model="a")) == (other_model,)


def test_a_run_is_named_by_the_start_of_its_id(store: RunsStore) -> None:
    first, second = made(1), made(2)
    twin = replace(first, id=first.id[:10] + "f" * 54)
    for run in (first, second, twin):
        store.put(run)
    assert store.get(second.id[:6].upper()) == second
    with pytest.raises(StoreError, match="several runs have ids that begin with"):
        store.get(first.id[:10])
    for none in (second.id[:3], "ffff0000", "%%%%", ""):
        with pytest.raises(StoreError, match="no run has the id"):
            store.get(none)


def test_a_removed_run_is_gone_with_its_trials(store: RunsStore, url: str) -> None:
    store.put(RUN)
    store.put(made(1))
    store.remove([RUN.id, "unknown"])
    assert store.newest() == (made(1),)
    with engine_of(make_url(url)).connect() as connection:
        left = connection.execute(text("SELECT DISTINCT run_id FROM calibrant_trials")).scalars().all()
    assert left == [made(1).id]


WRITER = """
import sys
from made_records import made
from sqlalchemy import make_url
from calibrant.artifacts.runs_store.store import RunsStore
url, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(first, first + count):
    RunsStore(make_url(url)).put(made(number))
    RunsStore(make_url(url)).put(made(-1))
"""


def test_processes_that_make_the_store_and_write_at_once_all_succeed(url: str) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(number * RUNS_EACH), str(RUNS_EACH)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parent,
        )
        for number in range(WRITERS)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    complaints = [writer.communicate()[1] for writer in writers]
    assert complaints == [""] * WRITERS
    runs = RunsStore(make_url(url)).newest()
    assert len(runs) == WRITERS * RUNS_EACH + 1
    assert all(run.trials == RUN.trials for run in runs)


def test_the_password_is_told_to_nobody(postgresql: Cluster) -> None:
    url = make_url(postgresql.new_database())
    assert url.password is not None
    assert url.password not in RunsStore(url).place
    for wrong in (url.set(password="s3cret"), url.set(port=1), url.set(database="absent")):
        with pytest.raises(StoreError) as error:
            RunsStore(wrong)
        assert "s3cret" not in str(error.value)
        assert url.password not in str(error.value)
        assert len(str(error.value).splitlines()) == 1


def test_what_no_database_takes_is_told_in_one_line(store: RunsStore) -> None:
    for unfit in ({"float_value": 10**400}, {"folder": "\ud800"}, {"test_samples": 2**70}):
        with pytest.raises(StoreError, match=r"^a run holds what no database takes: .*; run it again$"):
            store.put(replace(RUN, **unfit))
    assert store.newest() == ()


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(StoreError, match="file is not a database; set CALIBRANT_STORE to another, or to off"):
        RunsStore(make_url(f"sqlite+pysqlite:///{tmp_path / 'text'}"))
    with pytest.raises(StoreError, match="the store of runs cannot be made at"):
        RunsStore(make_url(f"sqlite+pysqlite:///{tmp_path / 'text' / 'runs.sqlite'}"))
