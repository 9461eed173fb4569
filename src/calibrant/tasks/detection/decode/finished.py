"""Models that finish by themselves, with NMS inside or none needed: what is left is to read the lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.types import Feeds, FloatArray
from calibrant.tasks.detection.decode.candidates import (
    BoxFormat,
    BoxUnits,
    Candidates,
    Frame,
    Shape,
    Shapes,
    Wanted,
    corners,
    misfit,
    shapes_of,
)

_ROLES = ("x1", "y1", "x2", "y2", "score", "class")


@dataclass(frozen=True)
class FinalRows:
    """One row for each detection, 1 x N x K or N x K; ``columns`` names its K numbers in order.

    Needed are x1, y1, x2, y2 (corners, pixels), score and class; other names are left aside.
    """

    columns: tuple[str, ...] = _ROLES

    def __post_init__(self) -> None:
        missing = [role for role in _ROLES if role not in self.columns]
        if missing:
            raise SettingsError(f"columns lack '{missing[0]}'; they must name {', '.join(_ROLES)}")

    @property
    def _needs(self) -> str:
        return f"detections as rows of {len(self.columns)} ({', '.join(self.columns)})"

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """None: rows name classes by number, so how many there are does not show."""
        del frame
        shape = next(iter(shapes.values()), ())
        if len(shape) not in (2, 3) or shape[-1] not in (len(self.columns), None):
            raise misfit(self._needs, shapes)
        return None

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        del frame  # rows are in input pixels
        self.class_count(shapes_of(outputs))
        array = next(iter(outputs.values()))
        table = np.asarray(array if array.ndim == 2 else array[0], np.float32)
        x1, y1, x2, y2, score, kind = (self.columns.index(role) for role in _ROLES)
        table = table[table[:, score] > wanted.confidence]
        return Candidates(table[:, [x1, y1, x2, y2]], table[:, score], table[:, kind].astype(np.int64))


@dataclass(frozen=True)
class FinalLists:
    """Boxes 1 x N x 4, scores 1 x N and classes 1 x N (integers); if a count is given, only so many are real.

    TensorRT's EfficientNMS (num_dets, det_boxes, det_scores, det_classes), and RT-DETR's own export
    (labels, boxes, scores), which gives boxes in units of its input ``orig_target_sizes``: input pixels here.
    """

    box: BoxFormat = "xyxy"
    units: BoxUnits = "pixels"

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """None: classes are given by number, so how many there are does not show."""
        del frame
        if not are_final_lists(list(shapes.values())):
            raise misfit("boxes of 1xNx4, scores of 1xN and classes of 1xN", shapes)
        return None

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs))
        boxes = next(array[0] for array in outputs.values() if array.ndim == 3)
        lists = [
            array.reshape(-1)
            for array in outputs.values()
            if array.ndim == 2 and len(boxes) == array.shape[1]
        ]
        scores, classes = _scores_and_classes(lists, shapes_of(outputs))
        real = np.arange(len(scores)) < _count(outputs, len(boxes))
        kept = real & (scores > wanted.confidence)
        final = corners(np.asarray(boxes[kept], np.float32), self.box, self.units, frame)
        return Candidates(final, scores[kept], classes[kept])


def are_final_lists(shapes: list[Shape]) -> bool:
    """Whether there are a table of boxes, two lists beside it, and at most a count."""
    boxes = [shape for shape in shapes if len(shape) == 3 and shape[2] == 4]
    others = [shape for shape in shapes if len(shape) <= 2]
    lists = [shape for shape in others if boxes and len(shape) == 2 and shape[1] == boxes[0][1]]
    return len(boxes) == 1 and len(lists) >= 2 and len(others) <= 3 and len(shapes) == 1 + len(others)


def _scores_and_classes(
    lists: list[NDArray[np.generic]], shapes: Shapes
) -> tuple[FloatArray, NDArray[np.int64]]:
    real = [array for array in lists if array.dtype.kind == "f"]
    whole = [array for array in lists if array.dtype.kind in "iu"]
    if len(real) != 1 or len(whole) < 1:
        raise misfit("scores as real numbers and classes as integers", shapes)
    return real[0].astype(np.float32), whole[-1].astype(np.int64)


def _count(outputs: Feeds, rows: int) -> int:
    """How many detections are real: the single number among the outputs, else all rows."""
    if rows == 1:
        return rows
    counts = [int(array.reshape(-1)[0]) for array in outputs.values() if array.size == 1]
    return counts[0] if counts else rows
