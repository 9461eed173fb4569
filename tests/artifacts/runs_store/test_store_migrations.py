"""Old stores become new ones by themselves, whole or not at all, and newer ones are left alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from made_records import RUN, made
from sqlalchemy import URL, Connection, inspect, make_url, text

from calibrant.artifacts.runs_store.location import engine_of
from calibrant.artifacts.runs_store.migrating import REVISIONS, VERSION_TABLE, known_revisions, revision_of
from calibrant.artifacts.runs_store.store import RunsStore
from calibrant.artifacts.runs_store.tables import METADATA
from calibrant.core.errors import StoreError

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{number}", "{before}"


def upgrade() -> None:
    op.add_column("calibrant_runs", sa.Column("tag", sa.String))
    op.execute("UPDATE calibrant_runs SET tag = 'old'")
"""
BROKEN = """
    raise RuntimeError("half way")
"""
HEAD = known_revisions()[-1]
LATER = f"{int(HEAD) + 1:04d}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database."""
    if request.param == "sqlite":
        return make_url(f"sqlite+pysqlite:///{tmp_path / 'runs.sqlite'}")
    return make_url(request.getfixturevalue("postgresql").new_database())


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The revisions of a later Calibrant, which has one more."""
    folder = tmp_path / "100% later"
    shutil.copytree(REVISIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / f"v{LATER}_tags.py").write_text(NEXT.format(number=LATER, before=HEAD))
    return folder


def tags(url: URL) -> list[str | None]:
    with engine_of(url).begin() as connection:
        return list(connection.execute(text("SELECT tag FROM calibrant_runs ORDER BY created")).scalars())


def schema(url: URL) -> tuple[str | None, set[str]]:
    with engine_of(url).begin() as connection:
        columns = {column["name"] for column in inspect(connection).get_columns("calibrant_runs")}
        return revision_of(connection), columns


def test_the_revisions_make_the_tables_that_the_program_uses(url: URL) -> None:
    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or (name or "").startswith("calibrant_")

    RunsStore(url)
    with engine_of(url).begin() as connection:
        options = {"include_name": is_ours, "version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_the_revisions_are_one_line_and_numbered_by_their_files() -> None:
    scripts = ScriptDirectory(str(REVISIONS.parent))
    assert [script.revision for script in scripts.walk_revisions()] == [*reversed(known_revisions())]
    assert scripts.get_heads() == [HEAD]


def test_an_old_store_is_upgraded_and_keeps_what_is_in_it(url: URL, later: Path) -> None:
    RunsStore(url).put(RUN)
    upgraded = RunsStore(url, later)
    assert upgraded.newest() == (RUN,)
    upgraded.put(made(1))
    assert tags(url) == ["old", None]
    assert schema(url)[0] == LATER


def test_a_store_of_a_newer_calibrant_is_left_alone(url: URL, later: Path) -> None:
    RunsStore(url, later).put(RUN)
    before = schema(url)
    with pytest.raises(
        StoreError, match=f"a newer Calibrant made the store of runs .schema {LATER}.*pip install"
    ):
        RunsStore(url)
    assert schema(url) == before


def test_an_upgrade_that_fails_changes_nothing(url: URL, later: Path) -> None:
    RunsStore(url).put(RUN)
    before = schema(url)
    script = later / f"v{LATER}_tags.py"
    script.write_text(script.read_text() + BROKEN)
    with pytest.raises(RuntimeError, match="half way"):
        RunsStore(url, later)
    assert schema(url) == before
    assert RunsStore(url).newest() == (RUN,)


OPENER = """
import sys
from pathlib import Path
from sqlalchemy import make_url
from calibrant.artifacts.runs_store.store import RunsStore
print("ready", flush=True)
sys.stdin.readline()
print(RunsStore(make_url(sys.argv[1]), Path(sys.argv[2])).count())
"""


def test_two_processes_may_upgrade_at_once(url: URL, later: Path) -> None:
    for number in range(3):
        RunsStore(url).put(made(number))
    shown = url.render_as_string(hide_password=False)
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, shown, str(later)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    assert [opener.communicate("go\n") for opener in openers] == [("3\n", "")] * 2
    assert tags(url) == ["old"] * 3


def test_an_upgrade_waits_for_a_writer(url: URL, later: Path) -> None:
    store = RunsStore(url)
    store.put(RUN)
    upgrade = threading.Thread(target=RunsStore, args=(url, later))
    with store._writing() as connection:
        _touch(connection)
        upgrade.start()
        upgrade.join(0.5)
        assert upgrade.is_alive()
    upgrade.join()
    assert tags(url) == ["old"]


def _touch(connection: Connection) -> None:
    connection.execute(text("UPDATE calibrant_runs SET host = 'there'"))


def test_other_programs_tables_stay_as_they_are(url: URL) -> None:
    with engine_of(url).begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of another program')"))
    RunsStore(url).put(RUN)
    with engine_of(url).begin() as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            == "of another program"
        )
