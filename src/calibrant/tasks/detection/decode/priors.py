"""Heads with prior boxes (SSD, Liu et al. 2016): faces by BlazeFace and YuNet, and raw SSDs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
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
    corners,
    misfit,
    pick,
    shapes_of,
    sigmoid,
    softmax,
)
from calibrant.tasks.detection.decode.doubts import not_probabilities, probabilities
from calibrant.tasks.detection.decode.grids import require_strides

_LANDMARKS = 10
"""The width of an output of five landmarks of a face, which is no table of scores."""


@dataclass(frozen=True)
class PriorBoxes:
    """Offsets from prior boxes and a score for each class, in tables of N x K, with or without a batch.

    ``sizes`` holds for each of ``strides`` the sides of its square priors in pixels, several a cell. Boxes
    are outputs of 4 numbers or more (what follows are landmarks), scores the others; several of a kind are of
    one stride each, the finest with the most rows. A third table of one column (YuNet's iou) is a second
    score: the score is then the root of their product. Centre = prior + offset * variance * side; size =
    side * exp(logarithm * variance), or without ``logarithms`` number * variance * side. With ``units:
    pixels`` the side is 1: BlazeFace's numbers are pixels. ``activation`` is what the scores still need, and
    ``background`` which class is none.
    """

    strides: tuple[int, ...]
    sizes: tuple[tuple[float, ...], ...]
    variances: tuple[float, float] = (0.1, 0.2)
    logarithms: bool = True
    units: Literal["sides", "pixels"] = "sides"
    rounding: Literal["up", "down"] = "up"
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    background: Literal["none", "first", "last"] = "none"
    multi_label: bool = False

    def __post_init__(self) -> None:
        require_strides(self.strides)
        if len(self.sizes) != len(self.strides) or not all(self.sizes):
            raise SettingsError(
                f"sizes need for each of the {len(self.strides)} strides one list of sides, e.g. [32, 48]"
            )

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        boxes, scores, _ = self._names(shapes)
        rows = [_rows_and_width(shapes[name])[0] for name in boxes]
        if (
            frame is not None
            and None not in rows
            and sum(row or 0 for row in rows) != len(self._priors(frame))
        ):
            raise misfit(f"{len(self._priors(frame))} prior boxes", shapes)
        width = _rows_and_width(shapes[scores[0]])[1]
        return None if width is None else width - (self.background != "none")

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs), frame)
        raw, scores = self._tables(outputs)
        rows, classes, picked = pick(self._final(scores, outputs), wanted, self.multi_label)
        priors = self._priors(frame)

        def boxes_of(used: IntArray) -> FloatArray:
            return corners(self._boxes(raw[used, :4], priors[used]), "cxcywh", "pixels", frame)

        return Candidates(boxes_at(rows, boxes_of), picked, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        _, scores = self._tables(outputs)
        return not_probabilities(scores) if self.activation == "none" else probabilities(scores)

    def _names(self, shapes: Shapes) -> tuple[list[str], list[str], str | None]:
        """The outputs that hold boxes, those that hold scores, and the one of a second score."""
        widths = {name: _rows_and_width(shape) for name, shape in shapes.items()}
        wide = [name for name, (_, width) in widths.items() if width is not None and width >= 4]
        boxes = [name for name in wide if widths[name][1] == 4] or wide
        others = [name for name in widths if name not in boxes]
        if len(others) > len(boxes):
            others = [name for name in others if widths[name][1] != _LANDMARKS]
        second = next((name for name in others if widths[name][1] == 1), None) if len(others) == 2 else None
        second = second if len(boxes) == 1 else None
        scores = [name for name in others if name != second]
        sizes = [widths[name][0] for name in boxes], [widths[name][0] for name in scores]
        if not boxes or sorted(map(str, sizes[0])) != sorted(map(str, sizes[1])):
            raise misfit("boxes and scores of as many rows", shapes)
        return boxes, scores, second

    def _tables(self, outputs: Feeds) -> tuple[FloatArray, FloatArray]:
        """Boxes (N, 4 or more) and scores (N, C) of all strides, the one with most rows first."""
        boxes, scores, _ = self._names(shapes_of(outputs))
        tables = [
            sorted((_table(outputs[name]) for name in names), key=len)[::-1] for names in (boxes, scores)
        ]
        return np.concatenate(tables[0]), np.concatenate(tables[1])

    def _final(self, scores: FloatArray, outputs: Feeds) -> FloatArray:
        if self.activation != "none":
            scores = sigmoid(scores) if self.activation == "sigmoid" else softmax(scores)
        if self.background != "none":
            scores = scores[:, 1:] if self.background == "first" else scores[:, :-1]
        second = self._names(shapes_of(outputs))[2]
        if second is None:
            return scores
        return np.sqrt(scores * np.clip(_table(outputs[second]), np.float32(0), np.float32(1)))

    def _priors(self, frame: Frame) -> FloatArray:
        return _priors(frame, self.strides, self.sizes, self.rounding == "up")

    def _boxes(self, raw: FloatArray, priors: FloatArray) -> FloatArray:
        """Centres and sizes, pixels."""
        first, second = (np.float32(variance) for variance in self.variances)
        side = priors[:, 2:] if self.units == "sides" else np.float32(1)
        centre = priors[:, :2] + raw[:, :2] * first * side
        sizes = np.exp(raw[:, 2:] * second) if self.logarithms else raw[:, 2:] * second
        return np.concatenate([centre, sizes * side], axis=1)


@lru_cache(maxsize=16)
def _priors(
    frame: Frame, strides: tuple[int, ...], sizes: tuple[tuple[float, ...], ...], is_up: bool
) -> FloatArray:
    """Centre and size (N, 4) of every prior, pixels: level by level, row by row, size by size."""
    levels = []
    for stride, sides in zip(strides, sizes, strict=True):
        rows, columns = (
            (-(-side // stride) if is_up else side // stride) for side in (frame.height, frame.width)
        )
        y, x, index = np.mgrid[:rows, :columns, : len(sides)].reshape(3, -1)
        size = np.repeat(np.array(sides)[index, None], 2, axis=1)
        levels.append(
            np.concatenate([np.stack([(x + 0.5) * stride, (y + 0.5) * stride], axis=1), size], axis=1)
        )
    return np.concatenate(levels).astype(np.float32)


def _rows_and_width(shape: tuple[int | None, ...]) -> tuple[int | None, int | None]:
    """Of N x K or 1 x N x K; anything else has no width."""
    if len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, None)):
        return shape[-2], shape[-1]
    return None, None


def _table(array: FloatArray) -> FloatArray:
    return np.asarray(array.reshape(array.shape[-2:]), np.float32)
