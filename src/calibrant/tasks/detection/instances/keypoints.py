"""Keypoints: a skeleton for each object, as COCO scores it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.core.tasks import Words
from calibrant.core.types import Feeds, ModelSignature
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.preprocess import Placement

COCO_SIGMAS = np.array([
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089,
])  # fmt: skip
"""How far people place each of COCO's 17 points apart, as a share of the object's size."""

_COCO_POINTS = 17


class Keypoints(Kind):
    """Points (K, 3): x, y in pixels of the image, and how visible each is (of labels: 0, 1, 2)."""

    task: ClassVar[str] = "keypoints"
    told: ClassVar[str] = "pose"
    title: ClassVar[str] = "keypoints: a skeleton for each object"
    words: ClassVar[Words] = Words("image", "images", "skeleton", "skeletons")
    metric: ClassVar[Metric] = Metric("oks_map50_95", "OKS mAP", "OKS mAP50-95", floor=0.01)
    figure: ClassVar[str] = "oks"
    most: ClassVar[int] = 20
    area_of_box: ClassVar[float] = 0.53  # as Ultralytics
    begins_with_box: ClassVar[bool] = True

    def numbers_beside(self, signature: ModelSignature) -> int | None:
        """As the metadata's kpt_shape says: points times two or three numbers; else COCO's 17 x 3."""
        if len(signature.outputs) != 1 or len(signature.outputs[0].shape) != 3:
            return None
        told = _literal(signature.metadata.get("kpt_shape"))
        if isinstance(told, list | tuple) and len(told) == 2 and all(type(size) is int for size in told):
            points, numbers = told
            return points * numbers if points > 0 and numbers in (2, 3) else None
        return 3 * _COCO_POINTS

    def shapes(
        self,
        extras: NDArray[np.float32],
        boxes: NDArray[np.float32],
        outputs: Feeds,
        frame: Frame,
        where: Placement,
    ) -> Sequence[Any]:
        """The points in pixels of the image, cut at its edges."""
        del boxes, outputs, frame
        numbers = 3 if extras.shape[1] % 3 == 0 else 2
        points = extras.reshape(len(extras), extras.shape[1] // numbers, numbers).astype(np.float32)
        if numbers == 2:
            points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
        scale = np.array([where.width / where.resized_width, where.height / where.resized_height], np.float32)
        offset = np.array([where.left, where.top], np.float32)
        points[..., :2] = np.clip((points[..., :2] - offset) * scale, 0, (where.width, where.height))
        return list(points)

    def similarity(
        self, found: Instances, sample: InstanceSample, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """COCO's object keypoint similarity. Source: pycocotools' COCOeval.computeOks."""
        result = np.zeros((len(found), len(rows)))
        for column, row in enumerate(rows):
            box, area = sample.truth.xywh[row], float(sample.truth.areas[row])
            for index, points in enumerate(found.shapes):
                result[index, column] = _similarity(points, sample.shapes[row], box, area)
        return result

    def between(self, ours: Instances, theirs: Instances) -> NDArray[np.float64]:
        """The same with our points as labels, all of them visible."""
        result = np.zeros((len(ours), len(theirs)))
        for row, points in enumerate(ours.shapes):
            left, top, right, bottom = ours.boxes[row].astype(np.float64)
            box = np.array([left, top, right - left, bottom - top])
            seen = np.concatenate([points[:, :2], np.full((len(points), 1), 2.0)], axis=1)
            for column, others in enumerate(theirs.shapes):
                result[row, column] = _similarity(others, seen, box, self.area_of_box * box[2] * box[3])
        return result

    def of_record(self, record: Mapping[str, Any], width: int, height: int) -> tuple[Any, bool]:
        """COCO's list of x, y, visibility; where nothing is visible the object is not looked for."""
        del width, height
        told = record.get("keypoints")
        if not isinstance(told, list) or not told or len(told) % 3:
            raise ValueError("no keypoints")
        points = _finite(told).reshape(-1, 3)
        return points, bool(record.get("iscrowd", 0)) or not (points[:, 2] > 0).any()

    def of_numbers(self, values: Sequence[float], width: int, height: int) -> tuple[Any, bool]:
        """Box, then points of two numbers (all visible) or of three."""
        told = values[4:]
        if not told or (len(told) % 3 and len(told) % 2):
            raise ValueError("no keypoints behind the box")
        is_pair = len(told) % 3 != 0 or not _are_visibilities(told[2::3])
        points = _finite(told).reshape(-1, 2 if is_pair else 3)
        if is_pair:
            points = np.concatenate([points, 2.0 * (points != 0).any(axis=1, keepdims=True)], axis=1)
        points = points * (width, height, 1)
        return points, not (points[:, 2] > 0).any()

    def packed(self, shapes: Sequence[Any]) -> Mapping[str, NDArray[Any]]:
        """All points in one array."""
        return {"points": np.array(shapes, np.float32) if len(shapes) else np.zeros((0, 0, 3), np.float32)}

    def unpacked(self, arrays: Mapping[str, NDArray[Any]], count: int) -> Sequence[Any]:
        """The points again."""
        points = arrays["points"]
        if points.ndim != 3 or len(points) != count or points.shape[2] != 3 or points.dtype != np.float32:
            raise ValueError("points of other skeletons")
        return list(points)


def sigmas_of(points: int) -> NDArray[np.float64]:
    """COCO's for its 17 points, else the same for all: 1 / points, as Ultralytics."""
    return COCO_SIGMAS if points == _COCO_POINTS else np.full(points, 1.0 / points)


def _similarity(found: NDArray[Any], label: NDArray[Any], box: NDArray[np.float64], area: float) -> float:
    if len(found) != len(label):
        return 0.0
    seen = label[:, 2] > 0
    x, y = found[:, 0].astype(np.float64), found[:, 1].astype(np.float64)
    if seen.any():
        dx, dy = x - label[:, 0], y - label[:, 1]
    else:
        dx = _beyond(x, box[0] - box[2], box[0] + 2 * box[2])
        dy = _beyond(y, box[1] - box[3], box[1] + 2 * box[3])
    variances = (2 * sigmas_of(len(label))) ** 2
    error = (dx**2 + dy**2) / variances / (area + np.spacing(1)) / 2
    return float(np.exp(-(error[seen] if seen.any() else error)).mean())


def _beyond(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return np.maximum(0, low - values) + np.maximum(0, values - high)


def _finite(values: Sequence[Any]) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("keypoints are not made of numbers") from error
    if not np.isfinite(found).all():
        raise ValueError("keypoints are not finite")
    return found


def _are_visibilities(values: Sequence[float]) -> bool:
    return all(value in (0, 1, 2) for value in values)


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
