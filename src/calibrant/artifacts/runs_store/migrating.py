"""Which schema a store has, and bringing it to the program's own; Alembic is loaded only for that.

A revision is one file in migrations/versions; their numbers are a single line, without branches.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from calibrant.core.errors import StoreError

REVISIONS = Path(__file__).parent / "migrations" / "versions"
VERSION_TABLE = "calibrant_version"
_VERSIONS = Table(VERSION_TABLE, MetaData(), Column("version_num", String))
_NUMBER = re.compile(r"v(\d{4})_\w+\.py")


def known_revisions(folder: Path = REVISIONS) -> tuple[str, ...]:
    """The schemas that this program knows, oldest first."""
    return tuple(sorted(found[1] for file in folder.iterdir() if (found := _NUMBER.fullmatch(file.name))))


def revision_of(connection: Connection) -> str | None:
    """The schema that a store has; None: it is empty."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_VERSIONS.c.version_num)).scalar()


def needs_upgrade(revision: str | None, known: tuple[str, ...]) -> bool:
    """Whether a schema is older than the program's. Raises StoreError for one that it does not know."""
    if revision is not None and revision not in known:
        raise StoreError(
            f"a newer Calibrant made the store of runs (schema {revision}, this one knows {known[-1]}); "
            "pip install --upgrade calibrant, or name another store with CALIBRANT_STORE"
        )
    return revision != known[-1]


def upgrade(connection: Connection, folder: Path = REVISIONS) -> None:
    """Bring a store to the newest schema, in the transaction that is open."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _literal(REVISIONS.parent))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", _literal(folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _literal(path: Path) -> str:
    """A path as Alembic's settings take it."""
    return str(path).replace("%", "%%")
