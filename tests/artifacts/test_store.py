from __future__ import annotations

import os
from pathlib import Path

import pytest

from calibrant.artifacts.store import (
    SUBFOLDERS,
    output_folder,
    read_json,
    remove,
    require_writable,
    write_bytes,
    write_json,
)
from calibrant.core.errors import DataError, OutputError
from calibrant.studies import evidence
from calibrant.studies.optimization import run as optimization


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_files_have_the_users_permissions(tmp_path: Path) -> None:
    write_bytes(tmp_path / "ours", b"")
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "file", b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"its disk is full .* free some space there"):
        write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_json_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ключ": [1, None, "ü"]})
    assert read_json(tmp_path / "a.json") == {"ключ": [1, None, "ü"]}


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_broken_json_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json.*delete it"):
        read_json(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_json(tmp_path / "none.json")


def test_a_folder_that_cannot_be_written_is_refused_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="--out"):
        require_writable(tmp_path / "file" / "folder")
    assert require_writable(tmp_path / "new" / "folder").is_dir()


def test_a_folder_goes_when_nothing_came_of_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "new" / "folder"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_stays_when_it_was_there_or_holds_something(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "old"):
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), output_folder(tmp_path / "new") as folder:
        (folder / "kept").write_text("whole") and (folder / "absent").read_text()
    assert (tmp_path / "old").is_dir()
    assert (tmp_path / "new" / "kept").read_text() == "whole"


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; give a folder"), output_folder(tmp_path / "file"):
        pass


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        remove(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot delete"):
        remove(tmp_path / "folder")


@pytest.mark.parametrize("name", sorted(SUBFOLDERS))
def test_a_linked_subfolder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link"), output_folder(tmp_path / "out"):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_every_subfolder_of_a_run_is_looked_at() -> None:
    assert {evidence.FOLDER, optimization.MEASUREMENTS} <= SUBFOLDERS
