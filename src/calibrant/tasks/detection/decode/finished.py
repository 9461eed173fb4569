"""Models that finish by themselves, with NMS inside or none needed: what is left is to read the lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

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
    without_batch,
)
from calibrant.tasks.detection.decode.doubts import against_boxes, not_whole

_CORNERS = ("x1", "y1", "x2", "y2")
_CENTRED = ("cx", "cy", "w", "h")
TENSORFLOW = frozenset({"detection_boxes", "detection_classes", "detection_scores"})
T = TypeVar("T")


@dataclass(frozen=True)
class FinalRows:
    """A row for each detection, 1 x N x K, N x K or 1 x 1 x N x K; ``columns`` names its K numbers in order.

    Needed are score, class and a box: x1, y1, x2, y2 (corners) or cx, cy, w, h; other names are left aside.
    ``units`` are those of the box. A second output may count the rows.
    """

    columns: tuple[str, ...] = (*_CORNERS, "score", "class")
    units: BoxUnits = "pixels"

    def __post_init__(self) -> None:
        needed = (*(_CENTRED if "cx" in self.columns else _CORNERS), "score", "class")
        missing = [role for role in needed if role not in self.columns]
        if missing:
            raise SettingsError(f"columns lack '{missing[0]}'; they must name {', '.join(needed)}")

    @property
    def _box(self) -> BoxFormat:
        return "cxcywh" if "cx" in self.columns else "xyxy"

    @property
    def _needs(self) -> str:
        return f"detections as rows of {len(self.columns)} ({', '.join(self.columns)})"

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """None: rows name classes by number, so how many there are does not show."""
        del frame
        self._rows_in(shapes)
        return None

    def _rows_in(self, shapes: Shapes) -> str:
        """The name of the output that holds the rows."""
        for name, shape in shapes.items():
            if len(shape) in (2, 3, 4) and shape[-1] in (len(self.columns), None):
                return name
        raise misfit(self._needs, shapes)

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        boxes, scores, classes = self._read(outputs)
        kept = scores > wanted.confidence
        found = corners(boxes[kept], self._box, self.units, frame)
        return Candidates(found, scores[kept], classes[kept].astype(np.int64))

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        boxes, scores, classes = self._read(outputs)
        return against_boxes(boxes, scores, self._box, self.units) or not_whole(classes, scores)

    def _read(self, outputs: Feeds) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Boxes (N, 4) as they are, scores (N,) and classes (N,)."""
        array = outputs[self._rows_in(shapes_of(outputs))]
        table = np.asarray(array.reshape(-1, len(self.columns)), np.float32)
        box = [self.columns.index(role) for role in (_CENTRED if self._box == "cxcywh" else _CORNERS)]
        return table[:, box], table[:, self.columns.index("score")], table[:, self.columns.index("class")]


@dataclass(frozen=True)
class ScoredBoxes:
    """Boxes with their score, 1 x N x 5, and classes 1 x N (integers): mmdeploy's dets and labels."""

    units: BoxUnits = "pixels"

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """None: classes are given by number, so how many there are does not show."""
        del frame
        scored_boxes_and_classes(shapes)
        return None

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        boxes, scores, classes = self._read(outputs)
        kept = scores > wanted.confidence
        found = corners(boxes[kept], "xyxy", self.units, frame)
        return Candidates(found, scores[kept], classes[kept].astype(np.int64))

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        boxes, scores, classes = self._read(outputs)
        return against_boxes(boxes, scores, "xyxy", self.units) or not_whole(classes, scores)

    def _read(self, outputs: Feeds) -> tuple[FloatArray, FloatArray, NDArray[np.generic]]:
        dets, labels = scored_boxes_and_classes(shapes_of(outputs))
        table = without_batch(outputs[dets])
        return table[:, :4], table[:, 4], outputs[labels].reshape(-1)[: len(table)]


def scored_boxes_and_classes(shapes: Shapes) -> tuple[str, str]:
    """The names of the outputs 1 x N x 5 and 1 x N. Raises ModelError when there are none."""
    for name, shape in shapes.items():
        lists = [other for other, found in shapes.items() if len(found) == 2 and found[1] == shape[1:2][0]]
        if len(shape) == 3 and shape[2] == 5 and lists:
            return name, lists[0]
    raise misfit("boxes with scores of 1 x N x 5 and classes of 1 x N", shapes)


@dataclass(frozen=True)
class FinalLists:
    """Boxes 1 x N x 4, scores 1 x N and classes 1 x N; if a count is given, only so many are real.

    ``first_class`` is the number of the first class. Classes are integers, or real numbers in an output that
    is called so. TensorRT's EfficientNMS (num_dets, det_boxes, det_scores, det_classes); RT-DETR's own export
    (labels, boxes, scores), which gives boxes in units of its input ``orig_target_sizes``: input pixels here;
    TensorFlow's object detection (detection_boxes, detection_classes, detection_scores, num_detections; what
    else it gives is left aside).
    """

    box: BoxFormat = "xyxy"
    units: BoxUnits = "pixels"
    first_class: int = 0

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """None: classes are given by number, so how many there are does not show."""
        del frame
        if not are_final_lists(list(tensorflows(shapes).values())):
            raise misfit("boxes of 1xNx4, scores of 1xN and classes of 1xN", shapes)
        return None

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        boxes, scores, classes = self._read(outputs)
        kept = scores > wanted.confidence
        final = corners(boxes[kept], self.box, self.units, frame)
        return Candidates(final, scores[kept], classes[kept])

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        boxes, scores, _ = self._read(outputs)
        return against_boxes(boxes, scores, self.box, self.units)

    def _read(self, outputs: Feeds) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
        """Boxes, scores and classes of the detections that are real."""
        self.class_count(shapes_of(outputs))
        outputs = tensorflows(outputs)
        boxes = next(array[0] for array in outputs.values() if array.ndim == 3)
        lists = {
            name: array.reshape(-1)
            for name, array in outputs.items()
            if array.ndim == 2 and len(boxes) == array.shape[1]
        }
        scores, classes = _scores_and_classes(lists, shapes_of(outputs))
        classes = classes - self.first_class
        count = max(0, _count(outputs, len(boxes)))
        return np.asarray(boxes[:count], np.float32), scores[:count], classes[:count]


def are_final_lists(shapes: list[Shape]) -> bool:
    """Whether there are a table of boxes, two lists beside it, and at most a count."""
    boxes = [shape for shape in shapes if len(shape) == 3 and shape[2] == 4]
    others = [shape for shape in shapes if len(shape) <= 2]
    lists = [shape for shape in others if boxes and len(shape) == 2 and shape[1] == boxes[0][1]]
    return len(boxes) == 1 and len(lists) >= 2 and len(others) <= 3 and len(shapes) == 1 + len(others)


def tensorflows(outputs: Mapping[str, T]) -> Mapping[str, T]:
    """Of the outputs of TensorFlow's object detection those of its final detections; of others all."""
    plain = {name: name.partition(":")[0] for name in outputs}
    if not set(plain.values()) >= TENSORFLOW:
        return outputs
    return {name: value for name, value in outputs.items() if plain[name] in {*TENSORFLOW, "num_detections"}}


def _scores_and_classes(
    lists: Mapping[str, NDArray[np.generic]], shapes: Shapes
) -> tuple[FloatArray, NDArray[np.int64]]:
    real = [name for name, array in lists.items() if array.dtype.kind == "f"]
    whole = [name for name, array in lists.items() if array.dtype.kind in "iu"]
    if len(real) == 2 and not whole:
        whole = [name for name in real if "class" in name.lower()]
        real = [name for name in real if name not in whole]
    if len(real) != 1 or len(whole) < 1:
        raise misfit("scores as real numbers and classes as integers", shapes)
    return lists[real[0]].astype(np.float32), lists[whole[-1]].astype(np.int64)


def _count(outputs: Feeds, rows: int) -> int:
    """How many detections are real: the single number among the outputs, else all rows."""
    if rows == 1:
        return rows
    counts = [int(array.reshape(-1)[0]) for array in outputs.values() if array.size == 1]
    return counts[0] if counts else rows
