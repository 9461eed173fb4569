"""CI must not be green because the tests on real data were quietly left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COPIED = [Path(__file__).with_name(name) for name in ("conftest.py", "postgresql_cluster.py")]
INI = "[pytest]\nmarkers =\n    shared: needs ../shared\n"
TESTS = """
def test_real(shared):
    assert shared.name == "shared"

def test_plain():
    pass
"""


def _run(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    tests = checkout / "tests"
    tests.mkdir(parents=True)
    for file in COPIED:
        shutil.copy(file, tests)
    (checkout / "pytest.ini").write_text(INI)
    (tests / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "xdist.plugin", *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["plain", "xdist"])
def test_without_the_folder_its_tests_are_skipped_and_counted(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    run = _run(tmp_path / "checkout", *options)
    assert "../shared is absent; of its tests 0 ran, 1 skipped" in run.stdout
    assert run.returncode == 0


def test_with_the_folder_they_run(tmp_path: Path) -> None:
    (tmp_path / "shared" / "models").mkdir(parents=True)
    run = _run(tmp_path / "checkout")
    assert "../shared is present; of its tests 1 ran, 0 skipped" in run.stdout
    assert run.returncode == 0


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["plain", "xdist"])
def test_skipping_them_beside_the_folder_fails_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "shared").mkdir()
    run = _run(tmp_path / "checkout", *options)
    assert "../shared is present; of its tests 0 ran, 1 skipped" in run.stdout
    assert run.returncode == 1
