"""Heads of points and distances without distributions: SCRFD, FCOS, RTMDet, PP-YOLOE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibrant.core.errors import SettingsError
from calibrant.core.types import Feeds, FloatArray, IntArray
from calibrant.tasks.detection.decode.candidates import (
    Candidates,
    Frame,
    Shapes,
    Wanted,
    boxes_at,
    misfit,
    pick,
    shapes_of,
    sigmoid,
)
from calibrant.tasks.detection.decode.doubts import not_probabilities, probabilities
from calibrant.tasks.detection.decode.grids import cells, level_shapes, require_strides


@dataclass(frozen=True)
class PointDistances:
    """Class scores and distances left, top, right, bottom of a point, ``each`` a cell, for every stride.

    Outputs are tables N x K or 1 x N x K, or maps 1 x K x H x W: for each stride one of scores, one of 4
    distances, and maybe others (landmarks, a centre-ness of width 1 where the scores have more). ``point`` is
    where in its cell the point lies (0.5: the middle). Distances are in strides, or with ``units: pixels`` in
    pixels; ``activation`` is what the scores still need. Source: Tian et al., "FCOS", 2019; Guo et al.,
    "SCRFD", 2021: anchors at the cells' corners, two a cell.
    """

    strides: tuple[int, ...] = (8, 16, 32)
    each: int = 1
    point: float = 0.5
    units: Literal["strides", "pixels"] = "strides"
    activation: Literal["none", "sigmoid"] = "none"
    multi_label: bool = True

    def __post_init__(self) -> None:
        require_strides(self.strides)
        if self.each < 1:
            raise SettingsError(f"each {self.each} gives no points; 1 or more lie in a cell")

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        if frame is None:
            widths = {_width(shape, self.each) for shape in shapes.values()}
            return next((width for width in widths if width not in (4, None)), None)
        pairs = self._pairs(shapes, frame)
        return _width(shapes[pairs[0][0]], self.each)

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        scores, distances = self._tables(outputs, frame)
        scores = sigmoid(scores) if self.activation == "sigmoid" else scores
        rows, classes, picked = pick(scores, wanted, self.multi_label)
        cell, stride = (np.repeat(found, self.each, axis=0) for found in cells(frame, self.strides))

        def boxes_of(used: IntArray) -> FloatArray:
            points = (cell[used] + np.float32(self.point)) * stride[used]
            sides = distances[used] * (stride[used] if self.units == "strides" else np.float32(1))
            return np.concatenate([points - sides[:, :2], points + sides[:, 2:]], axis=1)

        return Candidates(boxes_at(rows, boxes_of), picked, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        scores, _ = self._tables(outputs, frame)
        return not_probabilities(scores) if self.activation == "none" else probabilities(scores)

    def _pairs(self, shapes: Shapes, frame: Frame) -> list[tuple[str, str]]:
        """For each stride, the names of its scores and of its distances."""
        found = []
        for rows, columns in level_shapes(frame, self.strides):
            here = [
                name
                for name, shape in shapes.items()
                if _rows(shape, self.each) == rows * columns * self.each
            ]
            distances = [name for name in here if _width(shapes[name], self.each) == 4]
            scores = [name for name in here if name not in distances[-1:]]
            if not distances or not scores:
                raise misfit(f"scores and distances of {rows * columns * self.each} points", shapes)
            found.append((scores[0], distances[-1]))
        return found

    def _tables(self, outputs: Feeds, frame: Frame) -> tuple[FloatArray, FloatArray]:
        """Scores (N, C) and distances (N, 4) of all strides."""
        pairs = self._pairs(shapes_of(outputs), frame)
        scores = [_table(outputs[name], self.each) for name, _ in pairs]
        return np.concatenate(scores), np.concatenate([_table(outputs[name], self.each) for _, name in pairs])


def _rows(shape: tuple[int | None, ...], each: int) -> int | None:
    if len(shape) == 4:
        return None if shape[2] is None or shape[3] is None else shape[2] * shape[3] * each
    return shape[-2] if len(shape) in (2, 3) else None


def _width(shape: tuple[int | None, ...], each: int) -> int | None:
    if len(shape) == 4:
        return None if shape[1] is None else shape[1] // each
    return shape[-1] if len(shape) in (2, 3) else None


def _table(array: FloatArray, each: int) -> FloatArray:
    """Rows of points, cell by cell, of a table or a map (whose channels are point by point)."""
    table: FloatArray = np.asarray(array, np.float32)
    if table.ndim == 4:
        table = table[0].transpose(1, 2, 0).reshape(-1, table.shape[1] // each)
    rows: FloatArray = table.reshape(table.shape[-2:])
    return rows
