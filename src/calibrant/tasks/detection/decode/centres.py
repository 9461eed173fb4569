"""CenterNet's head: peaks of a map of scores, with a size and an offset in each cell."""

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
    corners,
    misfit,
    pick,
    shapes_of,
    sigmoid,
    without_batch,
)
from calibrant.tasks.detection.decode.doubts import not_probabilities, probabilities

_NEEDS = "maps of scores 1 x classes x H x W, of sizes and of offsets 1 x 2 x H x W"
_WINDOW = ((0, 0), (1, 1), (1, 1))


@dataclass(frozen=True)
class CentreMap:
    """A map of class scores, one of widths and heights in cells, and one of offsets in a cell.

    A score counts where none of the eight around it is higher. Sizes and offsets are told by their names
    ("wh", "size"; "reg", "off"), else sizes come first. ``activation`` is what the scores still need. Source:
    Zhou et al., "Objects as Points", 2019.
    """

    stride: int = 4
    activation: Literal["none", "sigmoid"] = "sigmoid"
    multi_label: bool = True

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise SettingsError(f"stride {self.stride} is not possible; give pixels a cell, e.g. 4")

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        scores, *_ = self._names(shapes)
        expected = (
            None if frame is None else (-(-frame.height // self.stride), -(-frame.width // self.stride))
        )
        if expected is not None and shapes[scores][2:] not in (expected, (None, None)):
            raise misfit(f"{_NEEDS} of {expected[0]} x {expected[1]} cells", shapes)
        return shapes[scores][1]

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs), frame)
        maps = [without_batch(outputs[name]) for name in self._names(shapes_of(outputs))]
        scores = sigmoid(maps[0]) if self.activation == "sigmoid" else maps[0]
        peaks = np.where(scores == _highest_around(scores), scores, np.float32(0))
        rows, classes, picked = pick(_by_cell(peaks), wanted, self.multi_label)
        sizes, offsets = _by_cell(maps[1]), _by_cell(maps[2])
        columns = scores.shape[2]

        def boxes_of(used: IntArray) -> FloatArray:
            cell = np.stack([used % columns, used // columns], axis=1).astype(np.float32)
            boxes = np.concatenate([cell + offsets[used], sizes[used]], axis=1) * np.float32(self.stride)
            return corners(boxes, "cxcywh", "pixels", frame)

        return Candidates(boxes_at(rows, boxes_of), picked, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        del frame
        scores = without_batch(outputs[self._names(shapes_of(outputs))[0]])
        return not_probabilities(scores) if self.activation == "none" else probabilities(scores)

    def _names(self, shapes: Shapes) -> tuple[str, str, str]:
        """The outputs of scores, sizes and offsets."""
        pairs = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] == 2]
        others = [name for name, shape in shapes.items() if len(shape) == 4 and name not in pairs]
        if len(pairs) == 3 and not others:  # two classes
            others, pairs = pairs[:1], pairs[1:]
        if len(pairs) != 2 or len(others) != 1:
            raise misfit(_NEEDS, shapes)
        offsets = [name for name in pairs if "reg" in name.lower() or "off" in name.lower()]
        second = offsets[0] if len(offsets) == 1 else pairs[1]
        return others[0], next(name for name in pairs if name != second), second


def _highest_around(scores: FloatArray) -> FloatArray:
    """The highest of each value and the eight around it, in every map of (C, H, W)."""
    padded = np.pad(scores, _WINDOW, constant_values=-np.inf)
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    highest: FloatArray = np.maximum(np.maximum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])
    return highest


def _by_cell(maps: FloatArray) -> FloatArray:
    """Maps (C, H, W) as a row for each cell."""
    return np.ascontiguousarray(maps.reshape(len(maps), -1).T)
