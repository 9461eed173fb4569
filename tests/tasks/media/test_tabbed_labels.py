"""PaddleOCR's label files of lines and of pages are read by one piece, and tell their lines alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.media.pages.labels import open_pages
from calibrant.tasks.media.tabbed_labels import first_content, label_files_in, tabbed_lines
from calibrant.tasks.recognition.labels import paddle


def test_lines_have_names_and_places(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"a.png\tone\ttwo\r\n\r\nb.jpg\t\n")
    found = list(tabbed_lines(path, "the text"))
    assert [(line.name, line.content) for line in found] == [("a.png", "one\ttwo"), ("b.jpg", "")]
    assert found[1].where == f"line 3 of '{path}'"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a.png\t[{}]\nx", "[{}]"),
        ("\ufeffa.PNG\ttext", "text"),
        ("a.png text", None),
        ("a.txt\ttext", None),
        ("", None),
    ],
)
def test_the_first_line_tells_what_a_file_is(tmp_path: Path, content: str, told: str | None) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(content, "utf-8")
    assert first_content(path) == told
    assert label_files_in(tmp_path) == ([(path, told)] if told is not None else [])


def test_both_say_where_a_tab_is_missing_and_which_files_there_are(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a.png\t[]\nb.png\n")
    with pytest.raises(DataError, match=r"line 2 of .* has no tab: 'b.png'; write image, a tab, JSON"):
        open_pages(tmp_path / "labels.txt")
    with pytest.raises(DataError, match=r"line 2 of .* has no tab: 'b.png'; write image, a tab, the text"):
        paddle.read(tmp_path / "labels.txt")
    (tmp_path / "more.txt").write_text("a.png\t[]\n")
    for reader in (open_pages, paddle.find):
        with pytest.raises(DataError, match=r"has 2 label files, e\.g\. .*give one of them"):
            reader(tmp_path)
