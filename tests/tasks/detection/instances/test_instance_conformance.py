"""Every kind of instance fits in as a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.detection.instances.keypoints import Keypoints
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.masks import Mask, Masks
from calibrant.tasks.detection.instances.oriented import Oriented
from calibrant.tasks.detection.instances.rows import Head
from calibrant.tasks.detection.instances.task import InstanceTask, Settings
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.profile import family_named
from calibrant.tasks.detection.types import Category, GroundTruth
from calibrant.testing import TaskConformance

SIGNATURE = ModelSignature((TensorInfo("images", (1, 3, 64, 64), "float32"),), (), {}, {})
KINDS: dict[str, Kind] = {"masks": Masks(), "keypoints": Keypoints(), "oriented": Oriented()}


def shape_of(kind: Kind, rng: np.random.Generator) -> Any:
    if isinstance(kind, Masks):
        return Mask.of(np.ones((7, 5), np.bool_), int(rng.integers(40)), int(rng.integers(40)))
    if isinstance(kind, Keypoints):
        return np.concatenate([rng.uniform(5, 50, (17, 2)), np.full((17, 1), 2.0)], axis=1).astype(np.float32)
    return np.array([*rng.uniform(10, 50, 2), 9, 5, rng.uniform(0, 1)], np.float32)


class TestInstances(TaskConformance):
    @pytest.fixture(autouse=True, params=list(KINDS.values()), ids=list(KINDS))
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.kind: Kind = request.param
        head = Head("columns", 1, 2, self.kind.is_turned)
        categories = (Category(1, "a"), Category(7, "b"))
        profile, settings = family_named("yolov8"), Settings(0.001, 0.7, 300)
        self.task = InstanceTask(self.kind, head, profile, SIGNATURE, categories, (0, 1), settings)
        self.best, self.worst = 1.0, 0.0

    def samples(self) -> Sequence[InstanceSample]:
        return [self._sample(index) for index in range(6)]

    def perfect(self, sample: InstanceSample) -> Instances:
        scores = np.linspace(0.9, 0.5, len(sample.truth), dtype=np.float32)
        return Instances(sample.truth.boxes.astype(np.float32), scores, sample.truth.classes, sample.shapes)

    def nothing(self, sample: InstanceSample) -> Instances:
        del sample
        return Instances(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), [])

    def _sample(self, index: int) -> InstanceSample:
        rng = np.random.default_rng(index)
        xywh = np.concatenate([rng.uniform(0, 30, (3, 2)), rng.uniform(8, 20, (3, 2))], axis=1)
        classes = np.array([0, 1, index % 2])
        truth = GroundTruth(xywh, classes, xywh[:, 2:].prod(axis=1), np.zeros(3, np.bool_))
        shapes = [shape_of(self.kind, rng) for _ in range(3)]
        name = f"{index:04d}.jpg"
        return InstanceSample(name, Path(name), truth, shapes, np.zeros(3, np.bool_), 64, 64)
