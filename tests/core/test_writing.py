"""Files are whole or absent, and no link leads out of the folder that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrant.core.writing import write_atomically


def test_a_file_is_made_with_its_folder_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    write_atomically(path, b"one")
    write_atomically(path, b"two", durably=False)
    assert path.read_bytes() == b"two"
    assert [*path.parent.iterdir()] == [path]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    theirs, link = tmp_path / "theirs", tmp_path / "study.json"
    theirs.write_bytes(b"theirs")
    link.symlink_to(theirs)
    write_atomically(link, b"ours")
    assert (theirs.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"theirs", b"ours", False)


def test_a_second_name_of_a_file_is_replaced_and_the_first_stays(tmp_path: Path) -> None:
    theirs, second = tmp_path / "theirs", tmp_path / "study.json"
    theirs.write_bytes(b"theirs")
    second.hardlink_to(theirs)
    write_atomically(second, b"ours")
    assert (theirs.read_bytes(), second.read_bytes()) == (b"theirs", b"ours")


def test_a_draft_is_written_through_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    monkeypatch.setattr("calibrant.core.writing.secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / f".study.json.{'0' * 16}").symlink_to(theirs)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "study.json", b"ours")
    assert theirs.read_bytes() == b"theirs"


def test_what_was_there_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.json"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("calibrant.core.writing.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert ([*tmp_path.iterdir()], path.read_bytes()) == ([path], b"old")
