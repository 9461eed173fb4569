"""Labelled and found objects with what a head gives beside the box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.types import GroundTruth


@dataclass(frozen=True, eq=False)
class Instances:
    """What a model found in one image, best first.

    boxes: corners in pixels of the image; shapes: what the kind adds, one for each box.
    """

    boxes: NDArray[np.float32]  # (N, 4)
    scores: NDArray[np.float32]  # (N,), 0..1
    classes: NDArray[np.int64]  # (N,)
    shapes: Sequence[Any]  # N

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, index: NDArray[Any]) -> Instances:
        """Some of them, by position or mask."""
        positions = np.arange(len(self))[index]
        return Instances(
            self.boxes[positions],
            self.scores[positions],
            self.classes[positions],
            [self.shapes[position] for position in positions],
        )


@dataclass(frozen=True, eq=False)
class InstanceSample:
    """A labelled image; ``shapes`` go with the rows of ``truth``.

    ``ignored``: bool (N,), those that are neither to be found nor wrong; crowds are among them.
    """

    id: str
    path: Path
    truth: GroundTruth
    shapes: Sequence[Any]
    ignored: NDArray[np.bool_]
    width: int | None = None
    height: int | None = None
