"""Detections as plain arrays and back, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.evidence import joined
from calibrant.tasks.detection.types import Detections

_SHAPES: Mapping[str, tuple[int, ...]] = {"counts": (), "boxes": (4,), "scores": (), "classes": ()}


def packed(detections: Sequence[Detections]) -> dict[str, NDArray[Any]]:
    """All images' detections one after the other, with how many each image has."""
    return {
        "counts": np.array([len(found) for found in detections], np.int64),
        "boxes": joined([found.boxes for found in detections], (4,), np.float32),
        "scores": joined([found.scores for found in detections], (), np.float32),
        "classes": joined([found.classes for found in detections], (), np.int64),
    }


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> list[Detections]:
    """The detections that :func:`packed` was given. Raises KeyError or ValueError for other arrays."""
    if any(arrays[name].shape[1:] != shape for name, shape in _SHAPES.items()):
        raise ValueError("an array has another shape")
    ends = np.cumsum(arrays["counts"])
    parts = zip(*(np.split(arrays[name], ends[:-1]) for name in ("boxes", "scores", "classes")), strict=True)
    found = [Detections(*part) for part in parts][: len(ends)]
    if [len(each) for each in found] != arrays["counts"].tolist():
        raise ValueError("counts and boxes do not fit")
    return found
