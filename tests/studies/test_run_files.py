"""A run's folder may be anybody's: nothing in it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibrant.core.errors import DataError, OutputError
from calibrant.studies.run_files import read_as_written, require_inside, require_study

RIGHT: dict[str, Any] = {
    **{name: {} for name in ("model", "environment", "settings", "data", "baseline")},
    "trials": [{"calibrator": "minmax", "files": {"qdq": "minmax.qdq.onnx", "cache": None}}],
    "recommended": None,
}


def test_a_study_is_accepted() -> None:
    require_study(RIGHT, Path("study.json"))
    require_study({**RIGHT, "trials": []}, Path("study.json"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", None),
        ("settings", []),
        ("baseline", "x"),
        ("trials", {}),
        ("trials", [1]),
        ("trials", [{"calibrator": 3}]),
        ("trials", [{"calibrator": "a", "files": {"qdq": 3}}]),
        ("trials", [{"calibrator": "a", "files": [1]}]),
        ("recommended", "minmax"),
    ],
)
def test_what_is_no_study_names_what_is_damaged(key: str, value: object) -> None:
    with pytest.raises(DataError, match=f"study.json is no study: {key} missing or damaged"):
        require_study({**RIGHT, key: value}, Path("study.json"))


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "a\0b"])
def test_files_outside_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="names a file outside of it"):
        require_inside(Path("run"), name)


@pytest.mark.parametrize("name", ["minmax.qdq.onnx", "evidence/fp32.npz", "...cache"])
def test_files_inside_are_not(name: str) -> None:
    require_inside(Path("run"), name)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("x"), ZeroDivisionError("x")])
def test_what_readers_stumble_over_is_one_line(error: Exception) -> None:
    words = "run holds a file that is not as Calibrant writes it"
    with pytest.raises(DataError, match=words), read_as_written(Path("run")):
        raise error


def test_errors_with_words_of_their_own_stay() -> None:
    with pytest.raises(OutputError, match="own words"), read_as_written(Path("run")):
        raise OutputError("own words")
