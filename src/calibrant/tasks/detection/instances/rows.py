"""From a head's table to kept candidates with their extra numbers, in pixels of the network's input.

Layouts are Ultralytics': columns (YOLOv8 and after), rows with objectness (YOLOv5, YOLOv7), and final rows
(end to end: YOLO26).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.types import Feeds
from calibrant.tasks.detection.decode import Candidates, Frame
from calibrant.tasks.detection.decode.candidates import (
    Wanted,
    corners,
    describe_shape,
    pick,
    pick_with_objectness,
    shapes_of,
    without_batch,
)
from calibrant.tasks.detection.instances.turned import envelopes, kept_turned
from calibrant.tasks.detection.nms import by_score, non_maximum_suppression

FINAL = 6
"""Columns of a final row before its extra numbers: corners, score, class."""


@dataclass(frozen=True)
class Head:
    """How a table is read. extra: numbers of a candidate beside box and scores; classes: None: not told."""

    layout: Literal["columns", "objectness", "final"]
    extra: int
    classes: int | None
    is_turned: bool = False


@dataclass(frozen=True, eq=False)
class Kept:
    """Candidates after NMS, best first. boxes: corners, of turned ones centre and size."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    extras: NDArray[np.float32]


def kept_rows(outputs: Feeds, head: Head, frame: Frame, confidence: float, iou: float, most: int) -> Kept:
    """The candidates that stay. Raises ModelError where the outputs hold no such table."""
    table = _table(outputs, head)
    if head.layout == "final":
        return _final(table, head, confidence, most)
    wanted = Wanted(confidence)
    start = 4 + (head.layout == "objectness")
    scores = table[:, start : table.shape[1] - head.extra]
    if head.layout == "objectness":
        rows, classes, picked = pick_with_objectness(table[:, 4], scores, wanted, multi_label=True)
    else:
        rows, classes, picked = pick(scores, wanted, multi_label=True)
    boxes, extras = table[rows, :4], table[rows, table.shape[1] - head.extra :]
    usable = np.isfinite(boxes).all(axis=1) & np.isfinite(extras).all(axis=1)
    boxes, extras, classes, picked = boxes[usable], extras[usable], classes[usable], picked[usable]
    if head.is_turned:
        index = kept_turned(np.concatenate([boxes, extras[:, -1:]], axis=1), picked, classes, iou)[:most]
    else:
        boxes = corners(boxes, "cxcywh", "pixels", frame)
        index = non_maximum_suppression(Candidates(boxes, picked, classes), iou, most)
    return Kept(boxes[index], picked[index], classes[index], extras[index])


def require_sane(outputs: Feeds, head: Head) -> None:
    """Raise ModelError where a float model's table cannot be what it was taken for."""
    table = _table(outputs, head)
    scores = table[:, 4:5] if head.layout == "final" else table[:, 4 : table.shape[1] - head.extra]
    if scores.size and (scores.min() < -1e-3 or scores.max() > 1 + 1e-3):
        raise ModelError(
            f"the outputs are not those of {head.layout} with {head.extra} numbers beside the scores: class "
            f"scores go from {scores.min():.3g} to {scores.max():.3g}; name another --family"
        )


def _final(table: NDArray[np.float32], head: Head, confidence: float, most: int) -> Kept:
    rows = table[np.isfinite(table).all(axis=1) & (table[:, 4] > confidence)]
    boxes = envelopes(rows[:, [0, 1, 2, 3, FINAL]])[0] if head.is_turned else rows[:, :4]
    classes = rows[:, 5].astype(np.int64)
    order = by_score(Candidates(boxes, rows[:, 4], classes))[:most]
    return Kept(rows[order, :4], rows[order, 4], classes[order], rows[order, FINAL:])


def _table(outputs: Feeds, head: Head) -> NDArray[np.float32]:
    found = [array for array in outputs.values() if array.ndim == 3]
    if not found:
        given = ", ".join(f"{name} {describe_shape(shape)}" for name, shape in shapes_of(outputs).items())
        raise ModelError(f"the outputs hold no table of candidates: {given}; choose another --family")
    table = without_batch(found[0])
    return np.ascontiguousarray(table.T) if head.layout == "columns" else table
