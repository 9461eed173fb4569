import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.tasks.detection.agreement import agreement, image_shares, pairs
from calibrant.tasks.detection.types import Detections


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    count = draw(st.integers(0, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners = rng.uniform(0, 50, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (count, 2))], axis=1)
    scores = rng.uniform(0.02, 1, count).astype(np.float32)
    return Detections(boxes.astype(np.float32), scores, rng.integers(0, 2, count))


def share(reference: Detections, found: Detections) -> float:
    both, each = image_shares([reference], [found]).sum(axis=0)
    assert agreement([reference], [found]) == float(2 * both / each)
    return float(2 * both / each)


@given(detections())
def test_a_model_agrees_with_itself(found: Detections) -> None:
    assert agreement([found], [found]) == pytest.approx(1)


@given(detections(), detections())
def test_agreement_lies_between_nothing_and_all(a: Detections, b: Detections) -> None:
    assert -1e-9 <= agreement([a], [b]) <= 1 + 1e-9


@given(detections(), detections())
def test_boxes_are_paired_one_to_one_in_their_class(a: Detections, b: Detections) -> None:
    found = pairs(a, b)
    assert len({ours for ours, _, _ in found}) == len(found) == len({theirs for _, theirs, _ in found})
    for ours, theirs, overlap in found:
        assert a.classes[ours] == b.classes[theirs]
        assert 0.5 <= overlap <= 1.0


ONE = Detections(np.array([[0, 0, 10, 10]], np.float32), np.array([0.8], np.float32), np.array([3]))


def test_other_classes_and_far_boxes_do_not_agree() -> None:
    other_class = Detections(ONE.boxes, ONE.scores, np.array([4]))
    far = Detections(ONE.boxes + 20, ONE.scores, ONE.classes)
    assert share(ONE, other_class) == share(ONE, far) == 0


def test_a_shifted_box_counts_its_overlap_and_a_weak_one_its_score() -> None:
    shifted = Detections(ONE.boxes + np.array([2, 0, 2, 0], np.float32), ONE.scores, ONE.classes)
    assert share(ONE, shifted) == pytest.approx(80 / 120)
    weaker = Detections(ONE.boxes, np.array([0.4], np.float32), ONE.classes)
    assert share(ONE, weaker) == pytest.approx(2 * 0.8 * 0.4 / (0.64 + 0.16))


def test_images_come_in_order_and_may_be_empty() -> None:
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert image_shares([none, ONE], [ONE, ONE])[:, 0].tolist() == pytest.approx([0, 0.64])
    assert image_shares([], []).shape == (0, 2)
    assert agreement([], []) == agreement([none], [none]) == 1
