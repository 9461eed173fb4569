"""Families whose output is a table: a row (or column) per candidate with its box and class scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibrant.core.types import Feeds, FloatArray, IntArray
from calibrant.tasks.detection.decode.candidates import (
    BoxFormat,
    BoxUnits,
    Candidates,
    Frame,
    Shapes,
    Wanted,
    boxes_at,
    corners,
    misfit,
    pick,
    pick_with_objectness,
    shapes_of,
    without_batch,
)
from calibrant.tasks.detection.decode.doubts import against_boxes, not_logarithms, not_probabilities
from calibrant.tasks.detection.decode.grids import cells, require_cells, require_strides


@dataclass(frozen=True)
class Rows:
    """Decoded boxes: 4 box numbers, an objectness if there is one, then a score for each class.

    ``layout`` says whether a candidate is a row (1 x N x K: YOLOv5, YOLOv7) or a column (1 x K x N: YOLOv8
    and after).
    """

    layout: Literal["rows", "columns"] = "rows"
    objectness: bool = True
    box: BoxFormat = "cxcywh"
    units: BoxUnits = "pixels"
    multi_label: bool = True

    @property
    def _needs(self) -> str:
        columns = "5 + classes" if self.objectness else "4 + classes"
        return f"1 x candidates x ({columns})" if self.layout == "rows" else f"1 x ({columns}) x candidates"

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        del frame  # any number of candidates will do
        _, shape = _table(shapes, self._needs)
        rows, width = (shape[1], shape[2]) if self.layout == "rows" else (shape[2], shape[1])
        if rows is not None and width is not None and 10 * rows < width:  # the other layout
            raise misfit(self._needs, shapes)
        return _classes_in(width, 4 + self.objectness, self._needs, shapes)

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs), frame)
        name, _ = _table(shapes_of(outputs), self._needs)
        table = without_batch(outputs[name])
        table = table if self.layout == "rows" else table.T
        if self.objectness:
            picked = pick_with_objectness(table[:, 4], table[:, 5:], wanted, self.multi_label)
        else:
            picked = pick(table[:, 4:], wanted, self.multi_label)
        rows, classes, scores = picked
        boxes = boxes_at(rows, lambda used: corners(table[used, :4], self.box, self.units, frame))
        return Candidates(boxes, scores, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        name, _ = _table(shapes_of(outputs), self._needs)
        table = without_batch(outputs[name])
        table = table if self.layout == "rows" else table.T
        return against_boxes(
            table[:, :4], table[:, 4:].max(axis=1), self.box, self.units
        ) or not_probabilities(table[:, 4:])


@dataclass(frozen=True)
class YoloxGrid:
    """YOLOX without ``decode_in_inference``, 1 x cells x (5 + C): offsets from the cell, logarithms of sizes.

    Source: Ge et al., "YOLOX", 2021: centre = (offset + cell) * stride, size = exp(logarithm) * stride.
    """

    strides: tuple[int, ...] = (8, 16, 32)
    multi_label: bool = True

    def __post_init__(self) -> None:
        require_strides(self.strides)

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        _, shape = _table(shapes, "1 x cells x (5 + classes)")
        require_cells(shape[1], self.strides, frame, shapes)
        return _classes_in(shape[2], 5, "1 x cells x (5 + classes)", shapes)

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs), frame)
        name, _ = _table(shapes_of(outputs), "1 x cells x (5 + classes)")
        table = without_batch(outputs[name])
        rows, classes, scores = pick_with_objectness(table[:, 4], table[:, 5:], wanted, self.multi_label)
        cell, stride = cells(frame, self.strides)

        def boxes_of(rows: IntArray) -> FloatArray:
            boxes = _decoded(table[rows, :4], cell[rows], stride[rows])
            return corners(boxes, "cxcywh", "pixels", frame)

        return Candidates(boxes_at(rows, boxes_of), scores, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        name, _ = _table(shapes_of(outputs), "1 x cells x (5 + classes)")
        table = without_batch(outputs[name])
        return not_probabilities(table[:, 4:]) or not_logarithms(table[:, 2:4])


def _decoded(raw: FloatArray, cell: FloatArray, stride: FloatArray) -> FloatArray:
    return np.concatenate([(raw[:, :2] + cell) * stride, np.exp(raw[:, 2:]) * stride], axis=1)


def _table(shapes: Shapes, needs: str) -> tuple[str, tuple[int | None, ...]]:
    """The first output of rank 3; YOLOv5's older exports also give the raw maps (rank 5) beside it."""
    for name, shape in shapes.items():
        if len(shape) == 3:
            return name, shape
    raise misfit(needs, shapes)


def _classes_in(width: int | None, others: int, needs: str, shapes: Shapes) -> int | None:
    if width is not None and width <= others:
        raise misfit(needs, shapes)
    return None if width is None else width - others
