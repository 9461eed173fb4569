"""What is kept of every image so that mAP can be computed again under any weighting of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import IntArray
from calibrant.tasks.detection.types import Detections, GroundTruth

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100
"""COCO looks at this many detections of each class in an image."""


@dataclass(frozen=True, eq=False)
class MatchTable:
    """Which detections are right, as COCO matches them to the labelled boxes, over all object sizes.

    Detections come class by class, best first; equal scores in the order of the images. Bit t of
    ``matched`` says that a detection is right at the t-th IoU threshold, bit t of ``ignored`` that it lies
    on a crowd and counts neither way. ``truth_image`` and ``truth_class`` list what is to be found.
    """

    images: int
    starts: NDArray[np.int64]  # (classes + 1,): where each class begins
    scores: NDArray[np.float32]  # (D,)
    image: NDArray[np.int32]  # (D,), position of the image among the samples
    matched: NDArray[np.uint16]  # (D,)
    ignored: NDArray[np.uint16]  # (D,)
    truth_image: NDArray[np.int32]  # (G,)
    truth_class: NDArray[np.int32]  # (G,)

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """Mean average precision (0..1, IoU 0.50 to 0.95) for each row of image weights.

        It is COCO's as if image i stood ``weights[r, i]`` times in the data set: a class of which no box is
        left to be found is left out of the mean. weights: (R, images), not negative; returns (R,), nan
        where no box at all is left. Raises ValueError for weights of another shape.
        """
        from calibrant.tasks.detection.kernels import weighted_mean_precision

        rows = np.ascontiguousarray(weights, np.int64)
        if rows.ndim != 2 or rows.shape[1] != self.images:
            raise ValueError(f"weights must have shape (R, {self.images}), not {rows.shape}")
        return weighted_mean_precision(
            rows, self.starts, self.image, self.matched, self.ignored, self.truth_image, self.truth_class,
            len(IOU_THRESHOLDS), RECALL_THRESHOLDS,
        )  # fmt: skip

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> MatchTable:
        """The table that :meth:`to_arrays` gave.

        Raises KeyError when one of its arrays is missing, ValueError when they are not of one table: compiled
        loops believe them.
        """
        try:
            values: dict[str, Any] = {
                name: np.asarray(arrays[name]).astype(kind, casting="same_kind")
                for name, kind in _KINDS.items()
            }
        except TypeError as error:
            raise ValueError(str(error)) from error
        table = cls(**{**values, "images": int(arrays["images"])})
        table._require_possible()
        return table

    def _require_possible(self) -> None:
        count, wanted, classes = len(self.scores), len(self.truth_image), len(self.starts) - 1
        found = (self.scores, self.image, self.matched, self.ignored)
        is_table = (
            all(array.shape == (count,) for array in found)
            and self.truth_image.shape == self.truth_class.shape == (wanted,)
            and classes >= 0
            and self.starts[0] == 0
            and self.starts[-1] == count
            and bool((np.diff(self.starts) >= 0).all())
            and _are_below(self.images, self.image, self.truth_image)
            and _are_below(classes, self.truth_class)
        )
        if not is_table:
            raise ValueError("the arrays are not of one table")


_KINDS = {
    "starts": np.int64, "scores": np.float32, "image": np.int32, "matched": np.uint16, "ignored": np.uint16,
    "truth_image": np.int32, "truth_class": np.int32,
}  # fmt: skip


def _are_below(limit: int, *indices: NDArray[Any]) -> bool:
    return all(bool(((index >= 0) & (index < limit)).all()) for index in indices)


def match(truths: Sequence[GroundTruth], detections: Sequence[Detections], class_count: int) -> MatchTable:
    """Match each image's detections with its labelled boxes. Source: pycocotools' COCOeval.evaluateImg."""
    from calibrant.tasks.detection.kernels import matches

    found = _FlatBoxes.of_detections(detections).best_of_each(class_count, MOST_DETECTIONS)
    labelled = _FlatBoxes.of_truths(truths).ordered(class_count)
    matched, ignored = matches(
        found.xywh, found.keys(class_count), labelled.xywh, labelled.keys(class_count), labelled.crowd,
        IOU_THRESHOLDS,
    )  # fmt: skip
    order = np.lexsort((-found.scores, found.classes))
    wanted = ~labelled.crowd
    return MatchTable(
        images=len(truths),
        starts=np.searchsorted(found.classes[order], np.arange(class_count + 1)).astype(np.int64),
        scores=found.scores[order],
        image=found.image[order].astype(np.int32),
        matched=matched[order],
        ignored=ignored[order],
        truth_image=labelled.image[wanted].astype(np.int32),
        truth_class=labelled.classes[wanted].astype(np.int32),
    )


@dataclass(frozen=True, eq=False)
class _FlatBoxes:
    """The boxes of all images in one table."""

    xywh: NDArray[np.float64]
    classes: IntArray
    image: IntArray
    scores: NDArray[np.float32]
    crowd: NDArray[np.bool_]

    @classmethod
    def of_detections(cls, detections: Sequence[Detections]) -> _FlatBoxes:
        return cls(
            xywh=joined([xywh_of(found) for found in detections], (4,), np.float64),
            classes=joined([found.classes for found in detections], (), np.int64),
            image=owners([len(found) for found in detections]),
            scores=joined([found.scores for found in detections], (), np.float32),
            crowd=np.zeros(sum(len(found) for found in detections), np.bool_),
        )

    @classmethod
    def of_truths(cls, truths: Sequence[GroundTruth]) -> _FlatBoxes:
        return cls(
            xywh=joined([truth.xywh for truth in truths], (4,), np.float64),
            classes=joined([truth.classes for truth in truths], (), np.int64),
            image=owners([len(truth) for truth in truths]),
            scores=np.zeros(sum(len(truth) for truth in truths), np.float32),
            crowd=joined([truth.crowd for truth in truths], (), np.bool_),
        )

    def keys(self, class_count: int) -> IntArray:
        """One number for each pair of image and class."""
        return self.image * class_count + self.classes

    def ordered(self, class_count: int) -> _FlatBoxes:
        """Image by image and class by class; in each the best first, and crowds last."""
        return self._at(np.lexsort((-self.scores, self.crowd, self.keys(class_count))))

    def best_of_each(self, class_count: int, most: int) -> _FlatBoxes:
        """Ordered, with at most ``most`` boxes of each class in an image."""
        table = self.ordered(class_count)
        keys = table.keys(class_count)
        rank = np.arange(len(keys)) - np.searchsorted(keys, keys)
        return table._at(np.flatnonzero(rank < most))

    def _at(self, index: IntArray) -> _FlatBoxes:
        return _FlatBoxes(*(getattr(self, field.name)[index] for field in fields(self)))


def xywh_of(found: Detections) -> NDArray[np.float64]:
    """Left, top, width and height (N, 4) of detections, in float64 as COCO computes with them."""
    boxes = found.boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def owners(counts: Sequence[int]) -> IntArray:
    """For each box of a flat table the position of its image."""
    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def joined(parts: Sequence[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Arrays (N, *shape) one after the other, also when there is none."""
    return np.concatenate([np.empty((0, *shape), dtype), *parts]).astype(dtype, copy=False)
