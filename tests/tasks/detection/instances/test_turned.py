"""Boxes with an angle: overlaps that can be reckoned by hand, and Ultralytics' suppression."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.tasks.detection.instances.turned import (
    envelopes,
    exact_overlap,
    kept_turned,
    of_corners,
    polygons,
    probable_overlap,
)

SQUARE = np.array([[10.0, 10.0, 4.0, 4.0, 0.0]])
boxes = st.tuples(
    st.floats(0, 20), st.floats(0, 20), st.floats(1, 10), st.floats(1, 10), st.floats(-math.pi, math.pi)
).map(lambda numbers: np.array([numbers]))


def test_a_square_and_itself_turned_share_an_octagon() -> None:
    turned = SQUARE + np.array([0, 0, 0, 0, math.pi / 4])
    octagon = 2 * (math.sqrt(2) - 1)
    assert exact_overlap(SQUARE, turned)[0, 0] == pytest.approx(octagon / (2 - octagon))


@given(boxes, boxes)
def test_overlaps_are_shares_and_do_not_ask_who_is_first(one: np.ndarray, other: np.ndarray) -> None:
    for overlap in (exact_overlap, probable_overlap):
        there, back = overlap(one, other)[0, 0], overlap(other, one)[0, 0]
        assert -1e-6 <= there <= 1 + 1e-6
        assert there == pytest.approx(back, abs=1e-4)
    assert probable_overlap(one, one)[0, 0] > 0.99
    assert exact_overlap(one, one)[0, 0] == pytest.approx(1, abs=1e-3)


@given(boxes)
def test_corners_give_the_box_back(box: np.ndarray) -> None:
    again = of_corners(polygons(box)[0])
    assert exact_overlap(box, again[None])[0, 0] == pytest.approx(1, abs=2e-3)
    upright, area = envelopes(box)
    assert area[0] == pytest.approx(box[0, 2] * box[0, 3])
    assert (upright[0, :2] <= box[0, :2] + 1e-5).all()


def test_the_better_of_two_stays_and_other_classes_do_not_matter() -> None:
    three = np.concatenate([SQUARE, SQUARE + np.array([0.1, 0, 0, 0, 0]), SQUARE])
    kept = kept_turned(three, np.array([0.5, 0.9, 0.7]), np.array([0, 0, 1]), 0.7)
    assert kept.tolist() == [1, 2]
