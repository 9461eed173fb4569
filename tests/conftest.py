"""Fixtures that every room's tests share, and a word on whether the tests on real things ran."""

from __future__ import annotations

import importlib
import secrets
from collections import ChainMap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from calibrant.core.kernel_choice import compiled_kernels_are_there
from postgresql_cluster import CannotStartError, Cluster, throw_away_cluster

# Machines are shared and kernels may compile on first use: a slow example is no failure, and runs repeat.
settings.register_profile("calibrant", deadline=None, derandomize=True, print_blob=True, max_examples=50)
settings.load_profile("calibrant")

KERNELS = {
    "calibrant.core": ("_kernels",),
    "calibrant.calibrators": ("_kernels",),
    "calibrant.stages.coverage": ("_kernels",),
    "calibrant.tasks.detection": ("_kernels", "_precision_kernels"),
}
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and data beside the checkout; skips where it is absent."""
    if not (SHARED / "models").is_dir():
        pytest.skip("needs ../shared (real models and data), which is absent here")
    return SHARED


@pytest.fixture(scope="module", params=["compiled", "numba"])
def each_kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a module's tests once with the compiled kernels, if they were built, and once with numba's."""
    with pytest.MonkeyPatch.context() as patch:
        for room, compiled in KERNELS.items():
            chosen = importlib.import_module(f"{room}.kernels")
            modules = compiled if request.param == "compiled" else ("numba_kernels",)
            found = [vars(pytest.importorskip(f"{room}.{module}")) for module in modules]
            for name in chosen.__all__:
                patch.setattr(chosen, name, ChainMap(*found)[name])
        yield


@pytest.fixture(scope="session", autouse=True)
def nobody_elses_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For what modules share: what is kept goes to a folder of the session's, and no run is recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALIBRANT_CACHE", str(tmp_path_factory.getbasetemp() / "shared-cache"))
        patch.setenv("CALIBRANT_STORE", "off")
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of each test's own, made when something is kept in it."""
    folder = tmp_path_factory.getbasetemp() / "caches" / secrets.token_hex(8)
    monkeypatch.setenv("CALIBRANT_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Turn the store of runs off, which tests of it undo; the user's own would not be touched even then."""
    folder = tmp_path_factory.getbasetemp() / "data" / secrets.token_hex(8)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.setenv("CALIBRANT_STORE", "off")
    return folder / "calibrant" / "runs.sqlite"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL server of this session's own; skips, saying why, where none can be started."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(throw_away_cluster())
        except CannotStartError as error:
            pytest.skip(f"needs PostgreSQL: {error}")
        yield cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for what may be absent, so that none escapes the counts below.

    Files with slow tests come first: with two workers, one that begins last keeps the other waiting.
    """
    for item in items:
        for needed in ("shared", "postgresql"):
            if needed in getattr(item, "fixturenames", ()):
                item.add_marker(needed)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on real data and on a real PostgreSQL, and with which kernels."""
    where = "present" if SHARED.is_dir() else "absent"
    terminalreporter.section("real models, data, servers and kernels")
    terminalreporter.write_line(f"../shared is {where}; of its tests {_ran_of('shared', terminalreporter)}")
    terminalreporter.write_line(f"of the tests on PostgreSQL {_ran_of('postgresql', terminalreporter)}")
    kernels = "there" if compiled_kernels_are_there() else "absent (python hatch_build.py compiles them)"
    terminalreporter.write_line(f"compiled kernels are {kernels}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that had the real data beside it and skipped its tests all the same."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and SHARED.is_dir() and _count("shared", reporter, "skipped"):
        session.exitstatus = max(session.exitstatus, pytest.ExitCode.TESTS_FAILED)


def _ran_of(marker: str, reporter: pytest.TerminalReporter) -> str:
    ran = _count(marker, reporter, "passed", "failed", "error")
    return f"{ran} ran, {_count(marker, reporter, 'skipped')} skipped"


def _count(marker: str, reporter: pytest.TerminalReporter, *outcomes: str) -> int:
    reports = [report for outcome in outcomes for report in reporter.stats.get(outcome, [])]
    return sum(marker in getattr(report, "keywords", ()) for report in reports)
