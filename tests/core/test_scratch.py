"""Folders for the time being, and what becomes of those that a killed process left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from calibrant.core.errors import OutputError
from calibrant.core.scratch import ScratchFolder, scratch_home, scratch_remark, swept

HOLDING = (
    "from calibrant.core.scratch import ScratchFolder; s = ScratchFolder(); "
    "print(s.path, flush=True); input()"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    swept.cache_clear()
    yield folder
    swept.cache_clear()


def holder() -> tuple[subprocess.Popen[str], Path]:
    """Another process with a folder in use."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    (path / "weights").write_bytes(b"0" * 100)
    return process, path


def test_it_goes_when_it_is_closed(home: Path) -> None:
    with ScratchFolder() as folder:
        (folder / "inner").mkdir()
        assert folder.parent == home
    assert list(home.iterdir()) == []


def test_a_killed_process_leaves_nothing_to_the_next(home: Path) -> None:
    process, path = holder()
    process.kill()
    process.wait()
    assert path.is_dir()
    with ScratchFolder() as folder:
        assert [found for found in home.iterdir() if found != folder] == []


def test_what_is_in_use_stays(home: Path) -> None:
    process, path = holder()
    try:
        with ScratchFolder():
            assert (path / "weights").is_file()
    finally:
        process.communicate("\n")
    assert list(home.iterdir()) == []  # a process that ends by itself takes its own away


def test_what_is_not_ours_stays(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / ".in-use").touch()
    (home / "calibrant-link").symlink_to(mine)
    (home / "calibrant-mine").mkdir()  # without the file that ours have
    (home / "calibrant-odd").mkdir()
    os.mkfifo(home / "calibrant-odd" / ".in-use")
    (home / "calibrant-linked").mkdir()
    (home / "calibrant-linked" / ".in-use").symlink_to(mine / ".in-use")
    (home / "calibrant-file").touch()
    with ScratchFolder():
        pass
    assert len(list(home.iterdir())) == 5
    assert (mine / ".in-use").is_file()


def test_a_full_temporary_folder_is_a_remark(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert scratch_remark() is None
    real = shutil.disk_usage
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda path: real(path)._replace(free=1000) if Path(path) == home else real(path),
    )
    remark = scratch_remark()
    assert remark is not None
    assert "is nearly full" in remark
    with ScratchFolder() as folder:
        assert folder.parent == scratch_home()
        assert home not in folder.parents


def test_no_room_anywhere_is_said_in_a_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(OutputError, match="disk is full"):
        ScratchFolder()
