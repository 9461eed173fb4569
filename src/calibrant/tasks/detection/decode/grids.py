"""Grid cells: where each row of a one-stage detector's output lies in the image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from calibrant.core.errors import SettingsError
from calibrant.core.types import FloatArray
from calibrant.tasks.detection.decode.candidates import Frame, Shapes, misfit


def level_shapes(frame: Frame, strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Rows and columns of the feature map at each stride (a part of a cell counts as one)."""
    return tuple((-(-frame.height // stride), -(-frame.width // stride)) for stride in strides)


def cell_count(frame: Frame, strides: Sequence[int]) -> int:
    """How many cells all feature maps have together."""
    return sum(rows * columns for rows, columns in level_shapes(frame, strides))


def require_cells(rows: int | None, strides: Sequence[int], frame: Frame | None, shapes: Shapes) -> None:
    """Raise ModelError unless ``rows`` is one for each cell, as far as both are known."""
    if rows is not None and frame is not None and rows != cell_count(frame, strides):
        steps = ", ".join(map(str, strides))
        size = f"{frame.width}x{frame.height}"
        raise misfit(f"{cell_count(frame, strides)} grid cells (strides {steps}, input {size})", shapes)


def require_strides(strides: Sequence[int]) -> None:
    """Raise SettingsError unless there are strides and all of them are positive."""
    if not strides or min(strides) < 1:
        raise SettingsError(
            f"strides {list(strides)} are not possible; give pixels per cell, e.g. [8, 16, 32]"
        )


@lru_cache(maxsize=16)
def cells(frame: Frame, strides: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Column and row (N, 2) of every cell, and its stride (N, 1): level by level, row by row."""
    corners, steps = [], []
    for (rows, columns), stride in zip(level_shapes(frame, strides), strides, strict=True):
        y, x = np.mgrid[:rows, :columns]
        corners.append(np.stack([x.ravel(), y.ravel()], axis=1))
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(steps).astype(np.float32)
