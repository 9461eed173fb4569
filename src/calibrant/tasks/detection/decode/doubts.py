"""What raw outputs say against a profile: each function gives a fact in a few words, or None.

They look for what cannot be, not for what is unusual: a hardly trained model must pass. Boxes are judged only
where scores look like probabilities, as noise has no format.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray
from calibrant.tasks.detection.decode.candidates import BoxFormat, BoxUnits

_ROUNDING = 1e-3
_LOGITS = 5.0
"""A trained model is sure that most places are empty: its logits go far beyond this."""
_FRACTIONS_END = 10.0
"""Sides of the input; boxes given as fractions stay well below."""
_SCORED = 0.05
"""Rows that score less may hold anything."""
_MANY = 20
"""Boxes of which all have a property only when it is the rule."""
_LARGEST_LOGARITHM = 12.0
"""exp(12) cells are wider than any image."""


def against_boxes(boxes: FloatArray, scores: FloatArray, box: BoxFormat, units: BoxUnits) -> str | None:
    """Against boxes (N, 4) in this format and these units, with final scores (N,)."""
    if found := not_probabilities(scores):
        return found
    if not is_unit(scores):
        return None
    likely = boxes[scores > _SCORED]
    return not_of_units(boxes, units) or not_of_format(likely, box)


def is_unit(values: FloatArray) -> bool:
    """Whether all values are in 0..1."""
    low, high = _limits(values)
    return low >= -_ROUNDING and high <= 1 + _ROUNDING


def not_probabilities(scores: FloatArray) -> str | None:
    """Against scores that are taken as they are."""
    low, high = _limits(scores)
    if low < -_LOGITS or high > _LOGITS:
        return f"scores run from {low:.3g} to {high:.3g}, so they are no probabilities"
    return None


def probabilities(scores: FloatArray) -> str | None:
    """Against scores that still need a sigmoid or softmax."""
    low, high = _limits(scores)
    if 0 <= low < high <= 1 and scores.size > _MANY:
        return f"scores lie in {low:.3g}..{high:.3g}, so they are probabilities already"
    return None


def not_of_units(boxes: FloatArray, units: BoxUnits) -> str | None:
    """Against boxes (N, 4) in these units."""
    finite = boxes[np.isfinite(boxes)]
    reach = float(np.abs(finite).max()) if finite.size else 0.0
    if units == "pixels" and 0 < reach <= 2:
        return f"coordinates reach {reach:.3g} only, so they are fractions of the image, not pixels"
    if units == "fraction" and reach > _FRACTIONS_END:
        return f"coordinates reach {reach:.3g}, so they are pixels, not fractions of the image"
    return None


def not_of_format(boxes: FloatArray, box: BoxFormat) -> str | None:
    """Against boxes (N, 4) in this format."""
    boxes = boxes[np.isfinite(boxes).all(axis=1) & boxes.any(axis=1)]
    least = boxes[:, :2] if box in ("xyxy", "yxyx") else np.zeros_like(boxes[:, :2])
    wrong = int((boxes[:, 2:] < least - _ROUNDING).any(axis=1).sum())
    if wrong and box in ("xyxy", "yxyx"):
        return f"{wrong} of {len(boxes)} boxes end before they begin, so they are no corners"
    if wrong:
        return f"{wrong} of {len(boxes)} boxes have a negative size, so they are not {box}"
    if box == "cxcywh" and len(boxes) >= _MANY and (boxes[:, 2:] >= boxes[:, :2]).all():
        return f"of all {len(boxes)} boxes the last two numbers exceed the first two, so they are corners"
    return None


def not_whole(classes: NDArray[np.generic], scores: FloatArray) -> str | None:
    """Against numbers (N,) of classes, with final scores (N,)."""
    if not is_unit(scores):
        return None
    numbers = np.asarray(classes, np.float64)
    wrong = numbers[(numbers != np.floor(numbers)) | (numbers < -1) | ~np.isfinite(numbers)]
    return f"a class is {wrong[0]:.3g}, and classes are whole numbers from 0" if len(wrong) else None


def not_logarithms(sizes: FloatArray) -> str | None:
    """Against logarithms of sizes."""
    _, high = _limits(sizes)
    return (
        f"logarithms of sizes reach {high:.3g}, so boxes are decoded" if high > _LARGEST_LOGARITHM else None
    )


def _limits(values: FloatArray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
