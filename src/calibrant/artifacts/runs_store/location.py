"""Where the store is, and how it is opened: the variable CALIBRANT_STORE, or a file in the user's folder."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from calibrant.artifacts.runs_store.setting import OFF, VARIABLE, store_setting
from calibrant.core.errors import StoreError
from calibrant.core.reading import require_regular
from calibrant.core.user_folder import user_data_folder

FILE = "runs.sqlite"
LOCK_WAIT_SECONDS = 30
CONNECT_SECONDS = 10
_LARGEST = 2**40
BEGIN = "calibrant_begin"
_EXAMPLES = "a file, sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
_KNOWN = frozenset(_DRIVERS.values())


def store_url() -> URL:
    """What CALIBRANT_STORE says (a URL or a file), or the file in the user's data folder.

    Raises StoreError for a URL of another kind of database.
    """
    given = store_setting()
    if not given:
        return _of_file(user_data_folder() / FILE)
    if "://" not in given:
        try:
            return _of_file(Path(given).expanduser())
        except RuntimeError as error:
            raise StoreError(f"{VARIABLE} names the home of a user who is not here: {given}") from error
    if given.count("@") > 1:
        raise StoreError(f"{VARIABLE} holds more than one @; write the password's own as %40")
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise StoreError(f"{VARIABLE} holds no URL that can be read; give {_EXAMPLES}") from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.drivername not in _KNOWN:
        raise StoreError(f"{VARIABLE} names a database of kind {url.drivername}; give {_EXAMPLES}")
    return url


def _of_file(path: Path) -> URL:
    return URL.create(_DRIVERS["sqlite"], database=str(path.absolute()))


def engine_of(url: URL) -> Engine:
    """An engine whose transactions begin as they should. Raises StoreError where a driver is missing."""
    return _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _postgresql_engine(url)


def _postgresql_engine(url: URL) -> Engine:
    if find_spec("psycopg") is None:
        raise StoreError("a store in PostgreSQL needs psycopg; pip install 'calibrant[postgresql]'")
    # A server that does not answer must not hold up the end of a study.
    limit = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
    return create_engine(url, poolclass=NullPool, connect_args=limit)


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                require_regular(Path(url.database), _LARGEST)
        except OSError as error:
            raise StoreError(
                f"the store of runs cannot be made at {url.database}: {error.strerror}; set {VARIABLE} to a "
                f"file elsewhere, or to {OFF}"
            ) from error
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": LOCK_WAIT_SECONDS})

    # Python's driver begins transactions late and not before DDL; here it is told when and how.
    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        how = connection.get_execution_options().get(BEGIN, "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {how}")

    return engine
