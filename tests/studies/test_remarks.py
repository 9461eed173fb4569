"""What is said beside the figures."""

from __future__ import annotations

import numpy as np
from toy import Means

from calibrant.core.metrics import Score
from calibrant.core.statistics import statistics_of
from calibrant.core.types import Statistics
from calibrant.studies import remarks
from calibrant.studies.result import DataSummary
from calibrant.tasks.registry import task_named

IMAGES = task_named("detection").words


def told(samples: int, boxes: int, calibration: int) -> list[str]:
    data = DataSummary("labels", samples, {"boxes": boxes}, "ids", "calib", calibration, "ids", 0)
    return remarks.on_counts(task_named("detection"), data)


def test_few_samples_and_labels_are_told() -> None:
    assert told(30, 100, 2) == []
    assert "29 images" in told(29, 100, 2)[0]
    assert told(300, 96, 2)[0].startswith("the test set has only 96 boxes")
    assert told(300, 100, 1)[0].startswith("one image is no calibration set")


def score(value: float) -> Score:
    return Score(task_named("detection").metric, value, (), Means(np.zeros(1)))


def test_a_model_that_cannot_be_compared_with_is_told() -> None:
    assert remarks.on_score(score(0.317), "yolox") == []
    (remark,) = remarks.on_score(score(0.0004), "yolox")
    assert "0.0 mAP" in remark
    assert "yolox" in remark
    (remark,) = remarks.on_score(score(float("nan")), "yolox")
    assert "undefined" in remark


def test_tensors_that_are_always_zero_are_counted_and_named() -> None:
    zero, one = (statistics_of(np.full(4, value, np.float32)) for value in (0, 1))
    statistics = Statistics("", ("a", "b"), {"dead": zero, "alive": one, "unquantized": zero})
    assert remarks.on_activations(statistics, ["alive"], IMAGES) == []
    (remark,) = remarks.on_activations(statistics, ["alive", "dead"], IMAGES)
    assert remark.startswith("1 of 2 quantized tensors are zero in all 2 calibration images, e.g. 'dead'")
