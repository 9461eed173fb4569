"""The detection task fits in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.detection.profile import family_named
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import Category, Detections, DetectionSample, GroundTruth
from calibrant.testing import TaskConformance

SIGNATURE = ModelSignature(
    inputs=(TensorInfo("images", (1, 3, 416, 416), "float32"),),
    outputs=(TensorInfo("output", (1, 3549, 7), "float32"),),
    op_counts={},
    tail_ops={},
)


def _sample(index: int) -> DetectionSample:
    rng = np.random.default_rng(index)
    boxes = rng.uniform(8, 90, (3, 4)) * [3, 3, 1, 1]
    truth = GroundTruth(boxes, np.array([0, 1, index % 2]), boxes[:, 2] * boxes[:, 3], np.zeros(3, np.bool_))
    return DetectionSample(f"{index:04d}.jpg", Path(f"{index:04d}.jpg"), truth)


class TestDetectionTask(TaskConformance):
    task = DetectionTask(
        family_named("yolox"), SIGNATURE, categories=(Category(1, "a"), Category(7, "b")), class_map=(0, 1)
    )

    best, worst = 1.0, 0.0

    def samples(self) -> Sequence[DetectionSample]:
        return [_sample(index) for index in range(7)]

    def perfect(self, sample: DetectionSample) -> Detections:
        scores = np.linspace(0.9, 0.5, len(sample.truth), dtype=np.float32)
        return Detections(sample.truth.boxes.astype(np.float32), scores, sample.truth.classes)

    def nothing(self, sample: DetectionSample) -> Detections:
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
