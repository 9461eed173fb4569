"""Exporters' notes are read without trusting them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import ModelError
from calibrant.tasks.detection.metadata import ExporterNotes, exporter_notes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 1: 'bicycle'}", ("person", "bicycle")),
        ("{1: 'b', 0: 'a'}", ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ("{0: 'a', 2: 'c'}", None),  # a hole
        ("{}", None),
        ("{0: 'a'", None),
        ("__import__('os').system('true')", None),
        ("(" * 500, None),
        ("7", None),
    ],
)
def test_names_are_literals_or_nothing(text: str, names: tuple[str, ...] | None) -> None:
    assert exporter_notes({"names": text}).class_names == names


@pytest.mark.parametrize(
    ("text", "size"),
    [("[480, 640]", (480, 640)), ("640", (640, 640)), ("[0, 640]", None), ("['a', 1]", None), ("[1]", None)],
)
def test_sizes_are_two_positive_numbers_or_nothing(text: str, size: tuple[int, int] | None) -> None:
    assert exporter_notes({"imgsz": text}).input_size == size


def test_no_metadata_says_nothing() -> None:
    assert exporter_notes({}) == ExporterNotes()


@given(st.dictionaries(st.sampled_from(["names", "imgsz", "stride"]), st.text(max_size=60)))
def test_any_text_is_survived(metadata: dict[str, str]) -> None:
    notes = exporter_notes(metadata)
    assert notes.class_names is None or all(isinstance(name, str) for name in notes.class_names)


@pytest.mark.parametrize("task", ["segment", "pose", "classify", "obb"])
def test_other_tasks_are_refused(task: str) -> None:
    with pytest.raises(ModelError, match=task):
        exporter_notes({"task": task})
