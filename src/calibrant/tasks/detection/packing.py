"""Detections as plain arrays and back, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.evidence import joined
from calibrant.tasks.detection.types import Detections

_SHAPES: Mapping[str, tuple[int, ...]] = {"counts": (), "boxes": (4,), "scores": (), "classes": ()}
_TYPES = {"counts": np.int64, "boxes": np.float32, "scores": np.float32, "classes": np.int64}


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
    for name, shape in _SHAPES.items():
        if arrays[name].shape[1:] != shape or arrays[name].dtype != _TYPES[name] or arrays[name].ndim == 0:
            raise ValueError("an array has another shape or type")
    if (arrays["counts"] < 0).any() or arrays["counts"].sum() != len(arrays["boxes"]):
        raise ValueError("counts and boxes do not fit")
    ends = np.cumsum(arrays["counts"])
    parts = zip(*(np.split(arrays[name], ends[:-1]) for name in ("boxes", "scores", "classes")), strict=True)
    found = [Detections(*part) for part in parts][: len(ends)]
    if [len(each) for each in found] != arrays["counts"].tolist():
        raise ValueError("counts and boxes do not fit")
    return found
