"""Fixtures that every room's tests share, and a word on whether the tests on real data ran."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared and numba compiles on first use: a slow example is no failure, and runs repeat.
settings.register_profile("calibrant", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("calibrant")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and data beside the checkout; skips where it is absent."""
    if not (SHARED / "models").is_dir():
        pytest.skip("needs ../shared (real models and data), which is absent here")
    return SHARED


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of each test's own, made when something is kept in it."""
    folder = tmp_path_factory.getbasetemp() / "caches" / secrets.token_hex(8)
    monkeypatch.setenv("CALIBRANT_CACHE", str(folder))
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the fixture, so that none escapes the count below."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests on real data ran."""
    where = "present" if SHARED.is_dir() else "absent"
    ran = _count_shared(terminalreporter, "passed", "failed", "error")
    skipped = _count_shared(terminalreporter, "skipped")
    terminalreporter.section("real models and data")
    terminalreporter.write_line(f"../shared is {where}; of its tests {ran} ran, {skipped} skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that had the real data beside it and skipped its tests all the same."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and SHARED.is_dir() and _count_shared(reporter, "skipped"):
        session.exitstatus = max(session.exitstatus, pytest.ExitCode.TESTS_FAILED)


def _count_shared(reporter: pytest.TerminalReporter, *outcomes: str) -> int:
    reports = [report for outcome in outcomes for report in reporter.stats.get(outcome, [])]
    return sum("shared" in getattr(report, "keywords", ()) for report in reports)
