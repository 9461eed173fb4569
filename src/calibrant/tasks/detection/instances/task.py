"""A task of instances bound to a model: drives it as a detector, reads its instances, scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Figure, Metric, Score
from calibrant.core.tasks import Evaluated, Look
from calibrant.core.types import ModelSignature
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.instances.agreement import agreement
from calibrant.tasks.detection.instances.differences import InstanceDifferences, differences_between
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.matching import match_table, mean_precision
from calibrant.tasks.detection.instances.rows import Head, kept_rows, require_sane
from calibrant.tasks.detection.instances.turned import envelopes
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.looks import look_at
from calibrant.tasks.detection.packing import packed, unpacked
from calibrant.tasks.detection.profile import Profile
from calibrant.tasks.detection.score import points
from calibrant.tasks.detection.task import DetectionTask, RawOutputs
from calibrant.tasks.detection.types import Category, Detections, DetectionSample
from calibrant.tasks.media.samples import CalibrationSample

Sample = InstanceSample | CalibrationSample


@dataclass(frozen=True)
class Settings:
    """How candidates become instances; see the task's options."""

    confidence: float
    iou: float
    most: int


class InstanceTask(DetectionTask):
    """Instances of one kind. It prepares images, keeps them and counts memory as its detector does."""

    def __init__(
        self,
        kind: Kind,
        head: Head,
        profile: Profile,
        signature: ModelSignature,
        categories: Sequence[Category],
        class_map: Sequence[int],
        settings: Settings,
    ) -> None:
        super().__init__(
            profile, signature, categories=categories, class_map=class_map, confidence=settings.confidence,
            iou=settings.iou, max_detections=settings.most,
        )  # fmt: skip
        self.kind, self.head = kind, head
        self.name, self.words = kind.task, kind.words

    @property
    def metric(self) -> Metric:
        """The kind's mean average precision."""
        return self.kind.metric

    def interpret(self, raw: RawOutputs, sample: Sample) -> Instances:  # type: ignore[override]
        """The instances in one image, best first. Raises ModelError for outputs of another head."""
        where = self._placement_of(raw, sample)
        kept = kept_rows(
            raw.outputs, self.head, self._frame, self._confidence, self._iou, self._max_detections
        )
        labels = self._category_of[kept.classes.clip(-1, len(self._category_of) - 1)]
        mine = labels >= 0
        boxes, extras = kept.boxes[mine], kept.extras[mine]
        if self.head.is_turned:
            shapes = self.kind.shapes(extras, boxes, raw.outputs, self._frame, where)
            corners = envelopes(np.array(shapes, np.float64).reshape(-1, 5))[0]
        else:
            corners = where.to_original(boxes)
            shapes = self.kind.shapes(extras, corners, raw.outputs, self._frame, where)
        return Instances(corners, kept.scores[mine], labels[mine], shapes)

    def check(self, raw: RawOutputs, sample: Sample) -> None:  # type: ignore[override]
        """Raise ModelError where a float model's raw outputs contradict the head."""
        del sample
        require_sane(raw.outputs, self.head)

    def picture(self, raw: RawOutputs, sample: CalibrationSample) -> tuple[str, bytes]:
        """A sentence on what was found, and the image with it drawn. Raises DataError for a bare array."""
        from calibrant.tasks.detection.instances.drawing import drawn_instances

        found = self.interpret(raw, sample)
        assert sample.path is not None  # else interpret has refused it
        return drawn_instances(self.kind, sample.path, found, [category.name for category in self.categories])

    def score(self, samples: Sequence[InstanceSample], predictions: Sequence[Instances]) -> Score:  # type: ignore[override]
        """COCO's mean average precision by the kind's similarity; boxes' own beside it."""
        table = self.evidence(samples, predictions)
        boxes = match_table(samples, predictions, len(self.categories), _box_overlap, self.kind.most)
        told = {
            f"{self.kind.figure}_map50": mean_precision(table, 1),
            "box_map50_95": mean_precision(boxes),
            "box_map50": mean_precision(boxes, 1),
            **self.kind.other_figures(samples, predictions, len(self.categories)),
        }
        figures = tuple(Figure(name, points(value)) for name, value in told.items())
        return Score(self.metric, mean_precision(table), figures, table)

    def evidence(self, samples: Sequence[InstanceSample], predictions: Sequence[Instances]) -> MatchTable:  # type: ignore[override]
        """The evidence of that score."""
        return match_table(samples, predictions, len(self.categories), self.kind.similarity, self.kind.most)

    def differences(  # type: ignore[override]
        self, calibrator: str, samples: Sequence[InstanceSample], reference: Evaluated, found: Evaluated
    ) -> InstanceDifferences:
        """What a user notices of a candidate against FP32."""
        return differences_between(self.kind, calibrator, samples, reference, found)

    def describe(self, sample: Sample, prediction: Instances | None = None) -> Look | None:  # type: ignore[override]
        """An image by its labels, or by what a model finds in it. Raises ImageError."""
        found = _boxes_of(prediction) if prediction is not None else None
        if isinstance(sample, InstanceSample):
            boxes = DetectionSample(sample.id, sample.path, sample.truth, sample.width, sample.height)
            return look_at(boxes, found, self.categories)
        return look_at(sample, found, self.categories)

    def agreement(self, reference: Sequence[Instances], found: Sequence[Instances]) -> float:  # type: ignore[override]
        """How far two models find the same instances with the same scores, 0..1; no labels needed."""
        return agreement(self.kind, reference, found)

    def pack(self, predictions: Sequence[Instances]) -> dict[str, NDArray[Any]]:  # type: ignore[override]
        """Predictions as plain arrays by name."""
        boxes = list(map(_boxes_of, predictions))
        return {
            **packed(boxes),
            **self.kind.packed([shape for found in predictions for shape in found.shapes]),
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> list[Instances]:  # type: ignore[override]
        """The predictions that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        boxes = unpacked(arrays)
        shapes = iter(self.kind.unpacked(arrays, sum(map(len, boxes))))
        return [
            Instances(found.boxes, found.scores, found.classes, [next(shapes) for _ in range(len(found))])
            for found in boxes
        ]


def _boxes_of(found: Instances) -> Detections:
    return Detections(found.boxes, found.scores, found.classes)


def _box_overlap(found: Instances, sample: InstanceSample, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of upright boxes; over the found box alone for crowds."""
    ours = found.boxes.astype(np.float64)[:, None]
    theirs = sample.truth.boxes[rows][None]
    sides = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    mine, labelled = ((x[..., 2:] - x[..., :2]).prod(axis=-1) for x in (ours, theirs))
    union = np.where(sample.truth.crowd[rows][None], mine, mine + labelled - shared)
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
