"""A PostgreSQL server for a test session: a cluster in a new folder, on loopback, gone afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

STARTUP_SECONDS = 60
UNPRIVILEGED = "postgres"  # initdb refuses to run as root; Debian's package makes this user


class CannotStartError(Exception):
    """There is no PostgreSQL here, or it does not start."""


@dataclass(frozen=True)
class Cluster:
    """A running server."""

    port: int
    password: str

    def url(self, database: str = "postgres") -> str:
        """As CALIBRANT_STORE takes it."""
        return f"postgresql+psycopg://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and give its URL."""
        import psycopg

        name = f"test_{secrets.token_hex(4)}"
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextmanager
def throw_away_cluster() -> Iterator[Cluster]:
    """Start a server. Raises CannotStartError."""
    programs, user = _programs(), _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="calibrant-postgresql-"))
    try:
        cluster = Cluster(_free_port(), secrets.token_hex(16))
        password = folder / "password"
        password.write_text(cluster.password)
        if user is not None:
            for path in (folder, password):
                shutil.chown(path, user)
        data = folder / "data"
        _run([programs / "initdb", "-D", data, "-U", "postgres", f"--pwfile={password}",
              "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"], user)  # fmt: skip
        settings = {"listen_addresses": "127.0.0.1", "port": cluster.port, "unix_socket_directories": "",
                    "fsync": "off"}  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *options], stdout=log, stderr=log, user=user, cwd=folder
        )
        try:
            _wait_for(cluster, server, folder / "log")
            yield cluster
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: connections are cut
            server.wait(STARTUP_SECONDS)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of initdb and postgres: Debian keeps them beside the PATH."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("postgres")
    places += [Path(on_path).resolve().parent] if on_path else []
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            return place
    raise CannotStartError("it is not installed (Debian: apt install postgresql)")


def _unprivileged_user() -> str | None:
    if os.name != "posix" or os.geteuid() != 0:
        return None
    import pwd

    with suppress(KeyError):
        return pwd.getpwnam(UNPRIVILEGED).pw_name
    raise CannotStartError(f"it refuses to run as root, and there is no user {UNPRIVILEGED}")


def _run(command: Sequence[str | Path], user: str | None) -> None:
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotStartError(" ".join(done.stderr.split()) or f"{command[0]} failed")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    ends = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < ends and server.poll() is None:
        with suppress(psycopg.OperationalError):
            psycopg.connect(cluster.url().replace("+psycopg", "")).close()
            return
        time.sleep(0.1)
    raise CannotStartError(" ".join(log.read_text(errors="replace").split()[-30:]))
