"""What detection is about: labelled images and the boxes that a model found.

Boxes are corners ``x1, y1, x2, y2`` in pixels of the image as it is read, after EXIF rotation; the left
edge of the first pixel column is 0. Classes are indices into :attr:`Dataset.categories`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Category:
    """A class of objects: ``id`` is the number that the label files use."""

    id: int
    name: str


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The labelled boxes of one image, in the order of the label file.

    ``xywh`` holds left, top, width and height exactly as COCO scoring needs them: from a COCO file they
    are its own numbers, so that no rounding separates us from pycocotools. ``areas`` decides small,
    medium and large: COCO's area field (the mask's area) when given, else width times height.
    ``crowd`` boxes are neither to be found nor false when found.
    """

    xywh: NDArray[np.float64]  # (N, 4), pixels
    classes: NDArray[np.int64]  # (N,)
    areas: NDArray[np.float64]  # (N,), square pixels
    crowd: NDArray[np.bool_]  # (N,)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Corners x1, y1, x2, y2 in pixels, shape (N, 4)."""
        return np.concatenate([self.xywh[:, :2], self.xywh[:, :2] + self.xywh[:, 2:]], axis=1)

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, eq=False)
class DetectionSample:
    """A labelled image; ``width`` and ``height`` are what the labels say, in pixels, where they do."""

    id: str
    path: Path
    truth: GroundTruth
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled test set. ``warnings`` are one-line remarks that the user should see once."""

    name: str
    source: Path
    categories: tuple[Category, ...]
    samples: tuple[DetectionSample, ...]
    warnings: tuple[str, ...] = ()

    @property
    def box_count(self) -> int:
        """How many boxes are labelled, crowds included."""
        return sum(len(sample.truth) for sample in self.samples)


@dataclass(frozen=True, eq=False)
class Detections:
    """What a model found in one image, best first: boxes are corners in pixels of the original image."""

    boxes: NDArray[np.float32]  # (N, 4)
    scores: NDArray[np.float32]  # (N,), 0..1
    classes: NDArray[np.int64]  # (N,)

    def __len__(self) -> int:
        return len(self.scores)
