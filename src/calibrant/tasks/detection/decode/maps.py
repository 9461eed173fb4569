"""Families whose outputs are feature maps: YOLOv5's raw head, and FastestDet's single map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibrant.core.errors import SettingsError
from calibrant.core.types import Feeds, FloatArray, IntArray
from calibrant.tasks.detection.decode.candidates import (
    Candidates,
    Frame,
    Shape,
    Shapes,
    Wanted,
    boxes_at,
    corners,
    misfit,
    pick_with_objectness,
    shapes_of,
    sigmoid,
    without_batch,
)
from calibrant.tasks.detection.decode.doubts import not_probabilities, probabilities
from calibrant.tasks.detection.decode.grids import level_shapes, require_strides

YOLOV5_ANCHORS = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326))


@dataclass(frozen=True)
class AnchorMaps:
    """YOLOv3 to YOLOv7 without their last step, a map for each stride.

    A map is 1 x A x H x W x (5 + C) or 1 x A(5 + C) x H x W, for A anchors and C classes.
    ``anchors`` holds for each stride width and height of its anchors, pixels; ``activated`` says that the
    sigmoid has been applied. With ``sizes: square`` (YOLOv5) centre = (2 s - 0.5 + cell) * stride
    and size = (2 s)^2 * anchor, where s is the sigmoid of the output; with ``sizes: exp`` (Redmon, Farhadi,
    "YOLOv3", 2018) centre = (s + cell) * stride and size = exp(output) * anchor. ``scale_xy`` (Bochkovskiy et
    al., "YOLOv4", 2020), one for each stride, stretches s around the middle of the cell.
    """

    strides: tuple[int, ...] = (8, 16, 32)
    anchors: tuple[tuple[float, ...], ...] = YOLOV5_ANCHORS
    activated: bool = False
    sizes: Literal["square", "exp"] = "square"
    scale_xy: tuple[float, ...] = ()
    multi_label: bool = True

    def __post_init__(self) -> None:
        require_strides(self.strides)
        lengths = {len(sizes) for sizes in self.anchors}
        if len(self.anchors) != len(self.strides) or len(lengths) != 1 or lengths.pop() % 2:
            raise SettingsError(
                f"anchors need for each of the {len(self.strides)} strides one list of widths and heights, "
                "all of a length, e.g. [10, 13, 16, 30, 33, 23]"
            )
        if len(self.scale_xy) not in (0, len(self.strides)) or (self.activated and self.sizes == "exp"):
            raise SettingsError(
                f"scale_xy needs a number for each of the {len(self.strides)} strides, e.g. [1.2, 1.1], and "
                "sizes by exp outputs that are not activated"
            )

    @property
    def _needs(self) -> str:
        each = len(self.anchors[0]) // 2
        return f"{len(self.strides)} maps of 1x{each}xHxWx(5 + classes) or 1x{each}*(5 + classes)xHxW"

    @property
    def _widest(self) -> float:
        """The stretch of centres where no ``scale_xy`` is given."""
        return 2.0 if self.sizes == "square" else 1.0

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        del frame  # the sizes of the maps are checked when they are read
        widths = {self._row_width(shape) for shape in shapes.values()}
        if len(shapes) != len(self.strides) or len(widths) != 1:
            raise misfit(self._needs, shapes)
        width = widths.pop()
        if width is not None and width <= 5:
            raise misfit(self._needs, shapes)
        return None if width is None else width - 5

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs))
        found = [self._level(*level, frame, wanted) for level in self._levels(outputs, frame)]
        return Candidates(
            np.concatenate([level.boxes for level in found]),
            np.concatenate([level.scores for level in found]),
            np.concatenate([level.classes for level in found]),
        )

    def _row_width(self, shape: Shape) -> int | None:
        each = len(self.anchors[0]) // 2
        if len(shape) == 5 and shape[1] in (each, None):
            return shape[4]
        if len(shape) == 4 and (shape[1] is None or shape[1] % each == 0):
            return None if shape[1] is None else shape[1] // each
        return -1

    def _levels(self, outputs: Feeds, frame: Frame) -> Iterator[tuple[FloatArray, int, tuple[float, ...]]]:
        """Each map as (A, H, W, 5 + C) with its stride and anchors."""
        each = len(self.anchors[0]) // 2
        maps = {}
        for array in outputs.values():
            raw = without_batch(array)
            if raw.ndim == 3:
                raw = raw.reshape(each, -1, *raw.shape[1:]).transpose(0, 2, 3, 1)
            maps[raw.shape[1:3]] = raw
        for size, stride, anchors in zip(
            level_shapes(frame, self.strides), self.strides, self.anchors, strict=True
        ):
            if size not in maps:
                raise misfit(f"a map of {size[0]}x{size[1]} cells for stride {stride}", shapes_of(outputs))
            yield maps[size], stride, anchors

    def _level(
        self, raw: FloatArray, stride: int, anchors: tuple[float, ...], frame: Frame, wanted: Wanted
    ) -> Candidates:
        values = raw if self.activated else _sigmoid_where_likely(raw, wanted.confidence)
        rows, classes, scores = pick_with_objectness(
            values[..., 4].ravel(),
            values[..., 5:].reshape(-1, values.shape[-1] - 5),
            wanted,
            self.multi_label,
        )
        anchor, row, column = np.unravel_index(rows, raw.shape[:3])
        box = values[anchor, row, column, :4]
        scale = self.scale_xy[self.strides.index(stride)] if self.scale_xy else self._widest
        centre = (scale * box[:, :2] - (scale - 1) / 2 + np.stack([column, row], axis=1)) * stride
        is_square = self.sizes == "square"
        factor = (2 * box[:, 2:]) ** 2 if is_square else np.exp(raw[anchor, row, column, 2:4])
        size = factor * np.reshape(anchors, (-1, 2))[anchor]
        boxes = np.concatenate([centre, size], axis=1).astype(np.float32)
        return Candidates(corners(boxes, "cxcywh", "pixels", frame), scores, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        values = np.concatenate([raw.reshape(-1, raw.shape[-1]) for raw, *_ in self._levels(outputs, frame)])
        return not_probabilities(values) if self.activated else probabilities(values)


def _sigmoid_where_likely(raw: FloatArray, confidence: float) -> FloatArray:
    """The sigmoid of the rows whose objectness passes; the others stay 0."""
    values = np.zeros_like(raw)
    likely = sigmoid(raw[..., 4]) > confidence
    values[likely] = sigmoid(raw[likely])
    return values


@dataclass(frozen=True)
class FastestDetMap:
    """FastestDet: a map 1 x (5 + C) x H x W of objectness, tanh offsets, sigmoid sizes and class scores.

    The score is objectness^0.6 * class^0.4. Source: the model's own evaluation (dog-qiuqiu/FastestDet).
    """

    objectness_power: float = 0.6
    class_power: float = 0.4
    multi_label: bool = True

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        del frame  # a map of any size covers the whole input
        shape = next(iter(shapes.values()), ())
        if len(shape) != 4 or (shape[1] is not None and shape[1] <= 5):
            raise misfit("a map 1 x (5 + classes) x H x W", shapes)
        return None if shape[1] is None else shape[1] - 5

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs))
        channels = without_batch(next(iter(outputs.values())))
        _, height, width = channels.shape
        table = np.ascontiguousarray(channels.reshape(len(channels), -1).T)
        objectness = table[:, 0] ** np.float32(self.objectness_power)
        rows, classes, scores = pick_with_objectness(
            objectness, table[:, 5:] ** np.float32(self.class_power), wanted, self.multi_label
        )

        def boxes_of(rows: IntArray) -> FloatArray:
            boxes = _fastestdet_boxes(table[rows, 1:5], rows, height, width)
            return corners(boxes, "cxcywh", "fraction", frame)

        return Candidates(boxes_at(rows, boxes_of), scores, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        channels = without_batch(next(iter(outputs.values())))
        return not_probabilities(channels[0]) or not_probabilities(channels[5:])


def _fastestdet_boxes(raw: FloatArray, rows: IntArray, height: int, width: int) -> FloatArray:
    """Centre and size as fractions of the input."""
    cell = np.stack([rows % width, rows // width], axis=1)
    centre = (np.tanh(raw[:, :2]) + cell) / np.array([width, height], np.float32)
    return np.concatenate([centre, sigmoid(raw[:, 2:])], axis=1).astype(np.float32)
