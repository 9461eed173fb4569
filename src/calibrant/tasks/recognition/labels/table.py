"""A .csv or .jsonl (JSON lines) with a column of image names and one of texts, as audiofolder and kin."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import files_in, is_file, text_of
from calibrant.tasks.recognition.labels.named import lines_of
from calibrant.tasks.recognition.types import LabelledLines

_SUFFIXES = (".csv", ".tsv", ".jsonl")
_IMAGES = ("file_name", "filename", "image", "image_path", "img", "path", "file")
_TEXTS = ("text", "label", "transcription", "words", "sentence")


def find(path: Path) -> Path | None:
    """The table: the path itself, or the only one in a folder. Raises DataError for several."""
    if is_file(path):
        return path if path.suffix.lower() in _SUFFIXES else None
    found = files_in(path, _SUFFIXES)
    if len(found) > 1:
        raise DataError(f"'{path}' has {len(found)} tables, e.g. '{found[0]}'; give one of them")
    return found[0] if found else None


def read(path: Path) -> LabelledLines:
    """All rows of a table, in its order. Raises DataError where a column is missing or a row is none."""
    rows = list(_json_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path))
    if not rows:
        return LabelledLines(())
    image, text = (_column(path, rows[0], names) for names in (_IMAGES, _TEXTS))
    return lines_of(path, [(_cell(path, row, image), _cell(path, row, text)) for row in rows])


def _csv_rows(path: Path) -> Iterable[Mapping[str, Any]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    lines = text_of(path).splitlines(keepends=True)
    try:
        yield from csv.DictReader(lines, delimiter=delimiter)
    except csv.Error as error:
        raise DataError(f"'{path}' cannot be read as a table ({error}); save it as CSV") from error


def _json_rows(path: Path) -> Iterable[Mapping[str, Any]]:
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"line {number} of '{path}' is no JSON ({error}); write one object a line"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"line {number} of '{path}' is no JSON object; write one object a line")
        yield row


def _column(path: Path, row: Mapping[str, Any], names: Sequence[str]) -> str:
    found = next((name for name in names if name in row), None)
    if found is None:
        raise DataError(
            f"'{path}' has columns {', '.join(map(str, row))}; name one of them {' or '.join(names[:2])}"
        )
    return found


def _cell(path: Path, row: Mapping[str, Any], column: str) -> str:
    cell = row.get(column)
    if not isinstance(cell, str):
        raise DataError(f"'{path}' has a row whose '{column}' is {cell!r}, not a text; quote it")
    return cell
