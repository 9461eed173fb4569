"""What is said beside the figures."""

from __future__ import annotations

import numpy as np

from calibrant.core.statistics import statistics_of
from calibrant.core.types import Statistics
from calibrant.studies import remarks


def test_few_test_images_are_remarked_on() -> None:
    assert remarks.on_count(30) == []
    (remark,) = remarks.on_count(29)
    assert "29 images" in remark


def test_a_model_that_finds_nothing_is_remarked_on() -> None:
    assert remarks.on_score(31.7, "yolox") == []
    (remark,) = remarks.on_score(0.04, "yolox")
    assert "0.0 mAP" in remark
    assert "yolox" in remark


def test_tensors_that_are_always_zero_are_counted_and_named() -> None:
    zero, one = (statistics_of(np.full(4, value, np.float32)) for value in (0, 1))
    statistics = Statistics("", ("a", "b"), {"dead": zero, "alive": one, "unquantized": zero})
    assert remarks.on_activations(statistics, ["alive"]) == []
    (remark,) = remarks.on_activations(statistics, ["alive", "dead"])
    assert remark.startswith("1 of 2 quantized tensors are zero in all 2 calibration images, e.g. 'dead'")
