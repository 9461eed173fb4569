"""NanoDet's head (generalised focal loss): each side of a box is the mean of a distribution over bins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from calibrant.core.errors import SettingsError
from calibrant.core.types import Feeds, FloatArray
from calibrant.tasks.detection.decode.candidates import (
    Candidates,
    Frame,
    Shape,
    Shapes,
    Wanted,
    boxes_at,
    misfit,
    pick,
    shapes_of,
    softmax,
    without_batch,
)
from calibrant.tasks.detection.decode.doubts import not_probabilities
from calibrant.tasks.detection.decode.grids import cells, level_shapes, require_cells, require_strides


@dataclass(frozen=True)
class DistributionGrid:
    """Class scores and distances left, top, right, bottom of a point in each cell.

    Either one output 1 x cells x (C + 4 * bins), or for each stride one of scores 1 x cells x C and one of
    distributions 1 x cells x (4 * bins). ``point`` is where in its cell the point lies (0.5: the middle).
    Source: Li et al., "Generalized Focal Loss", 2020; distance = stride * sum(bin * softmax(distribution)).
    """

    strides: tuple[int, ...] = (8, 16, 32)
    bins: int = 8
    point: float = 0.5
    multi_label: bool = True

    def __post_init__(self) -> None:
        require_strides(self.strides)
        if self.bins < 2:
            raise SettingsError(f"bins {self.bins} make no distribution; NanoDet has 8 a side")

    @property
    def _needs(self) -> str:
        sides = 4 * self.bins
        return (
            f"1 x cells x (classes + {sides}), or {len(self.strides)} outputs of 1 x cells x classes and "
            f"{len(self.strides)} of 1 x cells x {sides}"
        )

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """The classes, as Decoder.class_count says."""
        if any(len(shape) != 3 for shape in shapes.values()):
            raise misfit(self._needs, shapes)
        widths = [shape[2] for shape in shapes.values()]
        levels = len(self.strides)
        if len(shapes) == 1:
            require_cells(_total(shapes.values()), self.strides, frame, shapes)
            if widths[0] is not None and widths[0] <= 4 * self.bins:
                raise misfit(self._needs, shapes)
            return None if widths[0] is None else widths[0] - 4 * self.bins
        if len(shapes) != 2 * levels or len({*widths[:levels]}) != 1 or {*widths[levels:]} != {4 * self.bins}:
            raise misfit(self._needs, shapes)
        require_cells(_total(list(shapes.values())[:levels]), self.strides, frame, shapes)
        return widths[0]

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates, as Decoder.decode says."""
        self.class_count(shapes_of(outputs), frame)
        scores, distributions = self._tables(outputs, frame)
        rows, classes, picked = pick(scores, wanted, self.multi_label)
        cell, stride = cells(frame, self.strides)
        boxes = boxes_at(rows, lambda used: self._boxes(distributions[used], cell[used], stride[used]))
        return Candidates(boxes, picked, classes)

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What speaks against it, as Decoder.doubt says."""
        scores, _ = self._tables(outputs, frame)
        return not_probabilities(scores)

    def _tables(self, outputs: Feeds, frame: Frame) -> tuple[FloatArray, FloatArray]:
        """All strides' scores (N, C) and distributions (N, 4 * bins), in the order of the strides."""
        if len(outputs) == 1:
            table = without_batch(next(iter(outputs.values())))
            return table[:, : -4 * self.bins], table[:, -4 * self.bins :]
        sizes = [rows * columns for rows, columns in level_shapes(frame, self.strides)]
        arrays = [without_batch(array) for array in outputs.values()]
        levels = len(self.strides)
        halves = [
            sorted(half, key=lambda array: _position(len(array), sizes))
            for half in (arrays[:levels], arrays[levels:])
        ]
        return np.concatenate(halves[0]), np.concatenate(halves[1])

    def _boxes(self, distributions: FloatArray, cell: FloatArray, stride: FloatArray) -> FloatArray:
        # Bins first: numpy is several times slower along a last axis as short as that.
        odds = softmax(np.ascontiguousarray(distributions.reshape(-1, self.bins).T), axis=0)
        distances = (np.arange(self.bins, dtype=np.float32) @ odds).reshape(-1, 4) * stride
        points = (cell + np.float32(self.point)) * stride
        return np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=1)


def _total(shapes: Iterable[Shape]) -> int | None:
    """How many rows these outputs have together; None where one of them is open."""
    rows = [shape[1] for shape in shapes]
    return None if None in rows else sum(row or 0 for row in rows)


def _position(size: int, sizes: list[int]) -> int:
    return sizes.index(size) if size in sizes else len(sizes)


def is_paired(shapes: list[Shape]) -> bool:
    """Whether outputs look like class scores, then distributions, over the same cells at each stride."""
    half = len(shapes) // 2
    scores, sides = shapes[:half], shapes[half:]
    return (
        len(shapes) in (6, 8)
        and all(len(shape) == 3 for shape in shapes)
        and [shape[1] for shape in scores] == [shape[1] for shape in sides]
        and len({shape[2] for shape in scores}) == len({shape[2] for shape in sides}) == 1
    )
