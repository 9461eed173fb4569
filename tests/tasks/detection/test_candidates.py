"""Picking candidates, and the little mathematics that decoders share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import ModelError
from calibrant.tasks.detection.decode.candidates import (
    BoxFormat,
    Frame,
    Wanted,
    boxes_at,
    corners,
    pick,
    pick_with_objectness,
    sigmoid,
    softmax,
    strongest,
)
from calibrant.tasks.detection.decode.grids import cells
from calibrant.tasks.detection.decode.rows import Rows, YoloxGrid

tables = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 11, (9, 4)).astype(np.float32) / 10
)


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 45))
def test_the_strongest_are_the_best_and_the_first_of_equals(values: list[int], most: int) -> None:
    expected = sorted(sorted(range(len(values)), key=lambda i: (-values[i], i))[:most])
    assert strongest(np.array(values, np.float32), most).tolist() == expected


@given(st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=40), st.integers(1, 45))
def test_scores_of_any_sign_and_size_are_ordered(values: list[float], most: int) -> None:
    expected = sorted(sorted(range(len(values)), key=lambda i: (-values[i], i))[:most])
    assert strongest(np.array(values, np.float32), most).tolist() == expected


def test_of_very_many_pairs_the_best_are_picked() -> None:
    table = np.random.default_rng(0).uniform(size=(40, 5)).astype(np.float32)
    rows, classes, scores = pick(table, Wanted(0.1, most=50), multi_label=True)
    assert sorted(scores.tolist()) == sorted(table.reshape(-1).tolist())[-50:]
    assert table[rows, classes].tolist() == scores.tolist()
    assert (np.diff(rows) >= 0).all()


@given(tables, st.floats(0, 1))
def test_every_class_above_the_confidence_is_picked(table: np.ndarray, confidence: float) -> None:
    rows, classes, scores = pick(table, Wanted(confidence), multi_label=True)
    expected = [(r, c) for r in range(9) for c in range(4) if table[r, c] > np.float32(confidence)]
    assert list(zip(rows.tolist(), classes.tolist(), strict=True)) == expected
    assert scores.tolist() == [table[pair] for pair in expected]


@given(tables, st.floats(0, 1))
def test_with_one_label_a_row_gives_its_best_class(table: np.ndarray, confidence: float) -> None:
    rows, classes, _ = pick(table, Wanted(confidence), multi_label=False)
    expected = [(r, table[r].argmax()) for r in range(9) if table[r].max() > np.float32(confidence)]
    assert list(zip(rows.tolist(), classes.tolist(), strict=True)) == expected


@given(tables, st.floats(0, 1), st.booleans())
def test_objectness_multiplies(table: np.ndarray, confidence: float, multi_label: bool) -> None:
    objectness = table[::-1, 0].copy()
    found = pick_with_objectness(objectness, table, Wanted(confidence), multi_label)
    whole = pick(table * objectness[:, None], Wanted(confidence), multi_label)
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_more_candidates_than_can_be_looked_at_leave_the_best() -> None:
    table = np.linspace(0.01, 0.99, 40_000, dtype=np.float32).reshape(-1, 10)
    rows, classes, scores = pick(table, Wanted(0.001), multi_label=True)
    assert len(rows) == 30_000
    assert scores.min() == table.ravel()[10_000]
    np.testing.assert_array_equal(table[rows, classes], scores)


@pytest.mark.parametrize(
    ("box", "values"),
    [
        ("xyxy", [10, 20, 30, 60]),
        ("xywh", [10, 20, 20, 40]),
        ("cxcywh", [20, 40, 20, 40]),
        ("yxyx", [20, 10, 60, 30]),
    ],
)
def test_every_box_format_means_the_same_corners(box: BoxFormat, values: list[float]) -> None:
    pixels = np.array([values], np.float32)
    swap = [1, 0, 1, 0] if box == "yxyx" else [0, 1, 0, 1]
    fractions = pixels / np.array([200, 100], np.float32)[swap]
    frame = Frame(height=100, width=200)
    np.testing.assert_allclose(corners(pixels, box, "pixels", frame), [[10, 20, 30, 60]])
    np.testing.assert_allclose(corners(fractions, box, "fraction", frame), [[10, 20, 30, 60]], rtol=1e-6)


def test_boxes_are_made_once_a_row() -> None:
    asked: list[int] = []

    def boxes_of(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return np.repeat(rows[:, None], 4, axis=1).astype(np.float32)

    boxes = boxes_at(np.array([2, 2, 5, 9, 9, 9]), boxes_of)
    assert boxes[:, 0].tolist() == [2, 2, 5, 9, 9, 9]
    assert asked == [2, 5, 9]
    assert boxes_at(np.zeros(0, np.int64), boxes_of).shape == (0, 4)


def test_sigmoid_and_softmax_survive_extremes() -> None:
    values = np.array([-1e4, -2.0, 0.0, 3.0, 1e4], np.float32)
    assert sigmoid(values)[[0, 2, 4]].tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(sigmoid(values[1:4]), 1 / (1 + np.exp(-values[1:4])), rtol=1e-6)
    np.testing.assert_allclose(softmax(np.array([1e4, 1e4], np.float32)), [0.5, 0.5])


def test_cells_run_along_rows_and_count_parts() -> None:
    cell, stride = cells(Frame(height=20, width=40), (16, 32))
    assert cell.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 0], [1, 0]]
    assert stride.ravel().tolist() == [16] * 6 + [32] * 2


@pytest.mark.parametrize("decoder", [Rows(), YoloxGrid()])
def test_outputs_of_another_shape_than_the_file_said_are_refused(decoder: Rows | YoloxGrid) -> None:
    with pytest.raises(ModelError, match="2x3x4x5"):
        decoder.decode({"out": np.zeros((2, 3, 4, 5), np.float32)}, Frame(64, 64), Wanted(0.001))


def test_nothing_above_the_confidence_is_no_candidate() -> None:
    for decoder, shape in ((Rows(), (1, 50, 85)), (Rows("columns", objectness=False), (1, 7, 50))):
        found = decoder.decode({"out": np.zeros(shape, np.float32)}, Frame(64, 64), Wanted(0.001))
        assert found.boxes.shape == (0, 4)
        assert len(found) == 0
