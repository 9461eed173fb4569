"""Non-maximum suppression against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.tasks.detection.decode import Candidates
from calibrant.tasks.detection.nms import by_score, non_maximum_suppression

pytestmark = pytest.mark.usefixtures("each_kernels")


def candidates(seed: int, count: int, classes: int, levels: int) -> Candidates:
    """Random boxes on a coarse grid, so that overlaps and equal scores happen."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 12, (count, 2))], axis=1)
    scores = rng.integers(1, levels + 1, count) / levels
    return Candidates(boxes.astype(np.float32), scores.astype(np.float32), rng.integers(0, classes, count))


def by_definition(found: Candidates, iou: float, most: int) -> list[int]:
    """Quadratic: of the candidates that remain keep the best, drop what it overlaps, repeat."""
    remaining, kept = np.lexsort((np.arange(len(found)), -found.scores)), list[int]()
    while len(remaining) and len(kept) < most:
        best, remaining = remaining[0], remaining[1:]
        kept.append(int(best))
        other_class = found.classes[remaining] != found.classes[best]
        remaining = remaining[other_class | (overlaps(found.boxes[remaining], found.boxes[best]) <= iou)]
    return kept


def overlaps(boxes: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float64]:
    sides = np.minimum(boxes[:, 2:], one[2:]) - np.maximum(boxes[:, :2], one[:2])
    shared = sides.clip(0).prod(axis=1, dtype=np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (one[2:] - one[:2]).prod()
    return np.asarray(np.divide(shared, areas - shared, out=np.zeros_like(shared), where=shared > 0))


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    classes=st.integers(1, 4),
    levels=st.integers(1, 50),
    iou=st.floats(0.05, 0.95),
    most=st.integers(1, 40),
)
def test_nms_is_what_its_definition_says(
    seed: int, count: int, classes: int, levels: int, iou: float, most: int
) -> None:
    found = candidates(seed, count, classes, levels)
    assert non_maximum_suppression(found, iou, most).tolist() == by_definition(found, iou, most)


@pytest.mark.parametrize("levels", [5, 100_000])
def test_many_candidates_are_decided_as_if_all_were_looked_at(levels: int) -> None:
    found = candidates(1, 6000, 1, levels)
    assert non_maximum_suppression(found, 0.3, 300).tolist() == by_definition(found, 0.3, 300)
    assert non_maximum_suppression(found, 0.9, 10).tolist() == by_definition(found, 0.9, 10)


def test_equal_scores_go_in_order() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 10]], np.float32)
    found = Candidates(boxes, np.full(3, 0.5, np.float32), np.zeros(3, np.int64))
    assert non_maximum_suppression(found, 0.5, 300).tolist() == [0, 1]
    assert by_score(found).tolist() == [0, 1, 2]


def test_class_agnostic_suppression_takes_all_for_one_class() -> None:
    found = candidates(5, 200, 4, 50)
    alike = Candidates(found.boxes, found.scores, np.zeros_like(found.classes))
    kept = non_maximum_suppression(found, 0.4, 300, class_agnostic=True)
    assert kept.tolist() == non_maximum_suppression(alike, 0.4, 300).tolist()
    assert len(kept) < len(non_maximum_suppression(found, 0.4, 300))
