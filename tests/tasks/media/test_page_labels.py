"""Labels of pages: PaddleOCR's and ICDAR's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.media.pages import open_pages
from label_files import write_image

CORNERS = [[1, 2], [30, 2], [30, 12], [1, 12]]


def _paddle(folder: Path, *entries: object, name: str = "a.png") -> Path:
    write_image(folder / name)
    path = folder / "Label.txt"
    path.write_text(f"{name}\t{json.dumps(list(entries), ensure_ascii=False)}\n", encoding="utf-8")
    return path


def test_paddleocrs_file_with_what_is_not_to_be_read(tmp_path: Path) -> None:
    entries = [
        {"transcription": "第一", "points": CORNERS},
        {"transcription": "###", "points": CORNERS},
        {"transcription": "bow", "points": [[0, 0], [9, 9], [9, 0], [0, 9]]},
    ]
    path = _paddle(tmp_path, *entries)
    for source in (path, tmp_path):
        found = open_pages(source)
        assert [(one.text, one.is_ignored) for one in found.samples[0].regions] == [
            ("第一", False),
            ("###", True),
        ]
        assert found.samples[0].regions[0].outline.tolist() == CORNERS
        assert "1 of 3 outlines cross themselves" in found.warnings[0]


def test_names_may_begin_with_the_folders_own(tmp_path: Path) -> None:
    path = _paddle(tmp_path / "set", {"transcription": "a", "points": CORNERS})
    path.write_text(path.read_text("utf-8").replace("a.png", "set/a.png", 1), encoding="utf-8")
    assert open_pages(path).samples[0].path == tmp_path / "set" / "a.png"


@pytest.mark.parametrize(
    ("row", "outline", "text"),
    [
        ("1,2,30,2,30,12,1,12,a, b", CORNERS, "a, b"),  # ICDAR 2015
        ("1,2,30,12,word", CORNERS, "word"),  # ICDAR 2013, challenge 2
        ('1 2 30 12 "two words"', CORNERS, "two words"),  # ICDAR 2013, challenge 1
        ("1,2,30,2,30,12,1,12,2024", CORNERS, "2024"),  # a text of digits is no corner
    ],
)
def test_icdars_rows(tmp_path: Path, row: str, outline: list[list[int]], text: str) -> None:
    write_image(tmp_path / "images" / "img_1.png")
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt_img_1.txt").write_text(f"\ufeff{row}\n1,2,30,2,30,12,1,12,###\n", encoding="utf-8")
    (sample,) = open_pages(tmp_path).samples
    assert sample.id == "img_1.png"
    assert sample.regions[0].outline.tolist() == outline
    assert [(one.text, one.is_ignored) for one in sample.regions] == [(text, False), ("###", True)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a.png\t[{\n", "holds no JSON"),
        ('a.png\t[{"transcription": "a"}]\n', "without points"),
        ('a.png\t[{"points": [[0, 0], [1, 0], [1, true]]}]\n', "without points"),
        ("a.png\t[]\nb.png []\n", "line 2 of .* has no tab"),
        ("a.png\t[]\na.png\t[]\n", "more than once"),
        ("c.png\t[]\n", "do not exist"),
        ("a.png\ttext\n", "does not begin with an image, a tab and JSON"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, content: str, told: str) -> None:
    write_image(tmp_path / "a.png")
    path = tmp_path / "Label.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        open_pages(path)


def test_folders_without_labels_are_told(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="1 images but no labels"):
        open_pages(tmp_path)
    (tmp_path / "a.txt").write_text("1,2,x\n")
    with pytest.raises(DataError, match="no corners"):
        open_pages(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        open_pages(tmp_path / "none")
