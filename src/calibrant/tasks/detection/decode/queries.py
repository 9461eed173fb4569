"""Families with boxes and class scores in two outputs: DETR and RT-DETR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calibrant.core.types import Feeds, FloatArray
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
    shapes_of,
    sigmoid,
    softmax,
    without_batch,
)
from calibrant.tasks.detection.decode.doubts import against_boxes, probabilities

_NEEDS = "boxes of 1 x queries x 4 and scores of 1 x queries x classes"


@dataclass(frozen=True)
class Queries:
    """Boxes 1 x N x 4 and class scores 1 x N x C.

    ``activation`` is what the scores still need; ``background`` says which class is "no object": ``first``
    or ``last`` (``true`` means the last).
    """

    box: BoxFormat = "cxcywh"
    units: BoxUnits = "fraction"
    activation: Literal["none", "sigmoid", "softmax"] = "sigmoid"
    background: Literal[False, True, "first", "last"] = False
    multi_label: bool = True

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        del frame  # queries lie anywhere
        _, scores = boxes_and_scores(shapes)
        width = shapes[scores][2]
        return None if width is None else width - (self.background is not False)

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        box_name, score_name = boxes_and_scores(shapes_of(outputs))
        boxes, scores = without_batch(outputs[box_name]), self._activated(without_batch(outputs[score_name]))
        scores = self._without_background(scores)
        rows, classes, picked = pick(scores, wanted, self.multi_label)
        found = boxes_at(rows, lambda used: corners(boxes[used], self.box, self.units, frame))
        return Candidates(found, picked, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        box_name, score_name = boxes_and_scores(shapes_of(outputs))
        boxes, scores = without_batch(outputs[box_name]), without_batch(outputs[score_name])
        if self.activation != "none" and (found := probabilities(scores)):
            return found
        best = self._without_background(self._activated(scores)).max(axis=1)
        return against_boxes(boxes, best, self.box, self.units)

    def _without_background(self, scores: FloatArray) -> FloatArray:
        if self.background is False:
            return scores
        return scores[:, 1:] if self.background == "first" else scores[:, :-1]

    def _activated(self, scores: FloatArray) -> FloatArray:
        if self.activation == "none":
            return scores
        return sigmoid(scores) if self.activation == "sigmoid" else softmax(scores)


def boxes_and_scores(shapes: Shapes) -> tuple[str, str]:
    """The names of the two outputs: the first of width 4, and the first other one with as many rows.

    Exporters put hidden states behind them. Raises ModelError when there are no such outputs.
    """
    tables = {name: shape for name, shape in shapes.items() if len(shape) == 3}
    for box_name in _boxes_first(tables):
        for name, shape in tables.items():
            if name != box_name and shape[1] == tables[box_name][1]:
                return box_name, name
    raise misfit(_NEEDS, shapes)


def _boxes_first(tables: Shapes) -> list[str]:
    """Outputs of width 4, those called boxes before others (four classes give scores of width 4 as well)."""
    of_width_4 = [name for name, shape in tables.items() if shape[2] == 4]
    return sorted(of_width_4, key=lambda name: "box" not in name.lower())
