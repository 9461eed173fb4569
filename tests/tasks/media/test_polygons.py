"""Areas that polygons share: by hand, and as shapely has them."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.tasks.media.polygons import area, is_simple, overlap, shared_area

SQUARE = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
SHIFTED = SQUARE + 1
ARROW = np.array([[0, 0], [4, 0], [4, 4], [2, 1]])  # hollow
BOW = np.array([[0, 0], [2, 2], [2, 0], [0, 2]])


def test_areas_by_hand() -> None:
    assert area(SQUARE) == area(SQUARE[::-1]) == 4
    assert area(ARROW) == 6 + 8 - 8  # the triangle of its tips less what is hollow: x(4, 1)/2 …
    assert shared_area(SQUARE, SHIFTED) == 1
    assert overlap(SQUARE, SHIFTED) == pytest.approx(1 / 7)
    assert overlap(SQUARE, SQUARE) == 1
    assert overlap(SQUARE, SQUARE + 2) == 0  # a corner in common
    assert shared_area(SQUARE, ARROW) == shared_area(ARROW, SQUARE) == shared_area(ARROW[::-1], SQUARE)
    assert shared_area(SQUARE * 10, SQUARE) == 4


def test_what_crosses_itself_or_is_empty_is_not_simple() -> None:
    assert is_simple(SQUARE)
    assert is_simple(ARROW)
    assert is_simple(np.array([[0, 0], [0, 0], [2, 0], [2, 2], [0, 2]]))  # a corner twice
    assert not is_simple(BOW)
    assert not is_simple(np.array([[0, 0], [2, 0], [4, 0]]))
    assert not is_simple(np.array([[0, 0], [2, 0], [2, 2], [1, 0], [0, 2]]))  # it touches itself
    assert not is_simple(np.array([[0, 0], [np.nan, 0], [2, 2]]))


def test_shapely_agrees_on_any_outlines() -> None:
    shapely = pytest.importorskip("shapely.geometry", reason="comes with calibrant[demo-text]")
    rng = np.random.default_rng(0)
    simple = 0
    for _ in range(300):
        one, other = (
            rng.integers(0, 12, (rng.integers(3, 7), 2)),
            rng.integers(0, 12, (rng.integers(3, 7), 2)),
        )
        theirs = [shapely.Polygon(polygon) for polygon in (one, other)]
        assert [is_simple(one), is_simple(other)] == [polygon.is_valid for polygon in theirs]
        if all(polygon.is_valid for polygon in theirs):
            simple += 1
            assert shared_area(one, other) == pytest.approx(theirs[0].intersection(theirs[1]).area, abs=1e-9)
    assert simple > 30
