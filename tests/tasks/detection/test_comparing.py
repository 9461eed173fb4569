"""Lost, gained and moved boxes, counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibrant.core.tasks import Evaluated
from calibrant.tasks.detection.comparing import detection_differences
from calibrant.tasks.detection.differences import DetectionDifferences
from calibrant.tasks.detection.operating import threshold_curve
from calibrant.tasks.detection.score import score
from calibrant.tasks.detection.types import Category, Detections, DetectionSample, GroundTruth

CATEGORIES = (Category(1, "cat"), Category(2, "dog"))
Row = tuple[float, float, float, float, float, int]

CAT: Row = (0, 0, 20, 20, 0.9, 0)
DOG: Row = (40, 40, 150, 150, 0.8, 1)
SMALL_CAT: Row = (200, 200, 210, 210, 0.7, 0)


def found(*rows: Row) -> Detections:
    ordered = np.array(sorted(rows, key=lambda row: -row[4]), np.float32).reshape(-1, 6)
    return Detections(ordered[:, :4], ordered[:, 4], ordered[:, 5].astype(np.int64))


def sample(name: str, *rows: Row) -> DetectionSample:
    table = np.array(rows, np.float64).reshape(-1, 6)
    xywh = np.concatenate([table[:, :2], table[:, 2:4] - table[:, :2]], axis=1)
    truth = GroundTruth(
        xywh, table[:, 5].astype(np.int64), xywh[:, 2:].prod(axis=1), np.zeros(len(rows), np.bool_)
    )
    return DetectionSample(name, Path(f"/images/{name}.jpg"), truth)


SAMPLES = (sample("one", CAT, DOG), sample("two", SMALL_CAT))
FP32 = (found(CAT, DOG), found(SMALL_CAT))


def compared(*int8: Detections) -> DetectionDifferences:
    before, after = (Evaluated(each, score(SAMPLES, each, CATEGORIES)) for each in (FP32, int8))
    return detection_differences("mse", SAMPLES, before, after, CATEGORIES)


def test_the_same_boxes_are_all_kept() -> None:
    same = compared(*FP32)
    assert (same.kept, same.moved, same.lost, same.gained) == (3, 0, 0, 0)
    assert same.fp32 == same.int8
    assert same.fp32_score == same.int8_score == pytest.approx(0.8)
    assert same.mean_iou == pytest.approx(1)
    assert same.worst_images == ()


def test_lost_gained_and_moved_boxes_are_told_apart() -> None:
    moved_cat: Row = (3, 0, 23, 20, 0.9, 0)
    new_dog: Row = (300, 300, 400, 400, 0.95, 1)
    other = compared(found(moved_cat, DOG, new_dog), found())
    assert (other.kept, other.moved, other.lost, other.gained) == (1, 1, 1, 1)
    assert (other.fp32_boxes, other.int8_boxes) == (3, 3)
    one = next(image for image in other.worst_images if image.image == "one")
    assert {box.label: box.fate for box in one.fp32} == {"cat": "moved", "dog": "kept"}
    assert [box.fate for box in one.int8 if box.score > 0.92] == ["gained"]
    two = next(image for image in other.worst_images if image.image == "two")
    assert (two.lost, two.path, [box.fate for box in two.fp32]) == (1, "/images/two.jpg", ["lost"])


def test_worst_images_come_first_and_count_what_disagrees() -> None:
    other = compared(found(CAT), found())
    assert [image.image for image in other.worst_images] == ["one", "two"]
    assert other.worst_images[0].disagreement == pytest.approx(0.8**2, rel=1e-5)
    assert other.worst_images[1].disagreement == pytest.approx(0.7**2, rel=1e-5)


def test_scores_that_shrink_show_though_nothing_is_lost_in_rank() -> None:
    def faded(rows: Detections) -> Detections:
        return Detections(rows.boxes, rows.scores / np.float32(2), rows.classes)

    other = compared(*(faded(rows) for rows in FP32))
    assert other.matched == 3
    assert other.int8_score == pytest.approx((other.fp32_score or 0) / 2)
    assert other.int8.threshold == pytest.approx(other.fp32.threshold / 2)
    assert other.int8.f1 == other.fp32.f1
    assert other.int8.f1_at_fp32 < other.int8.f1
    assert other.lost == 3


def test_groups_have_counts_and_both_models_figures() -> None:
    other = compared(found(DOG), found())
    groups = {group.name: group for group in other.groups}
    assert [group.kind for group in other.groups] == ["size"] * 3 + ["class"] * 2
    assert (groups["cat"].boxes, groups["dog"].boxes) == (2, 1)
    assert groups["cat"].fp32 == groups["dog"].int8 == pytest.approx(100)
    assert groups["cat"].int8 == 0
    assert (groups["small"].boxes, groups["medium"].boxes, groups["large"].boxes) == (2, 0, 1)
    assert groups["medium"].fp32 is None


def test_a_model_that_finds_nothing_is_compared_too() -> None:
    nothing = compared(found(), found())
    assert (nothing.lost, nothing.int8_boxes, nothing.matched) == (3, 0, 0)
    assert (nothing.int8.threshold, nothing.int8.f1) == (1.0, 0.0)
    assert nothing.int8_score is None


def test_the_best_threshold_is_the_one_whose_f1_is_greatest() -> None:
    wrong: Row = (500, 500, 600, 600, 0.75, 0)
    evidence = score(SAMPLES, (found(CAT, DOG, wrong), found(SMALL_CAT)), CATEGORIES).evidence
    curve = threshold_curve(evidence)  # type: ignore[arg-type]
    assert curve.scores.tolist() == pytest.approx([0.9, 0.8, 0.75, 0.7])
    assert curve.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4])
    assert curve.recall.tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    assert curve.best == 3
    assert curve.f1_at(0.8) == pytest.approx(0.8)
    assert curve.f1_at(0.95) == 0
