"""Outlines against what is labelled, as ICDAR 2015 and PaddleOCR's evaluator (eval_det_iou.py) count them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibrant.core.metrics import Figure, Metric, Score
from calibrant.tasks.media.pages import PageSample, Region
from calibrant.tasks.media.polygons import area, is_simple, overlap, shared_area
from calibrant.tasks.text_detection.evidence import FoundRegions
from calibrant.tasks.text_detection.types import Outlines

HMEAN = Metric("hmean", floor=0.05)
"""The harmonic mean of precision and recall at an intersection over union of more than a half."""

LEAST_OVERLAP = 0.5
"""An outline is right where it overlaps a region by more; it is ignored where more of it is ignored."""


def evidence_of(samples: Sequence[PageSample], predictions: Sequence[Outlines]) -> FoundRegions:
    """What of each image was found; one prediction for each sample, in the same order."""
    counts = [_counted(sample.regions, found) for sample, found in zip(samples, predictions, strict=True)]
    table = np.array(counts, np.int64).reshape(-1, 3)
    return FoundRegions(*(np.ascontiguousarray(column) for column in table.T))


def score(samples: Sequence[PageSample], predictions: Sequence[Outlines]) -> Score:
    """Hmean over all images, with precision and recall."""
    evidence = evidence_of(samples, predictions)
    value = float(evidence.resample(np.ones((1, len(samples)), np.int64))[0])
    right = int(evidence.right.sum())
    figures = (
        Figure("precision", _percent(right, int(evidence.found.sum()))),
        Figure("recall", _percent(right, int(evidence.wanted.sum()))),
        Figure("regions found", float(evidence.found.sum()), ""),
    )
    return Score(HMEAN, value, figures, evidence)


def matched(regions: Sequence[Region], found: Outlines) -> dict[int, int]:
    """Which outline is right for which region: by region, the first that overlaps it enough."""
    pairs: dict[int, int] = {}
    for index, region in enumerate(regions):
        for other, corners in enumerate(found.corners):
            if other not in pairs.values() and overlap(region.outline, corners) > LEAST_OVERLAP:
                pairs[index] = other
                break
    return pairs


def counted_outlines(regions: Sequence[Region], found: Outlines) -> Outlines:
    """The outlines that count: simple ones that do not lie on an ignored region by more than a half."""
    ignored = [region.outline for region in regions if region.is_ignored]
    kept = [
        index
        for index, corners in enumerate(found.corners)
        if is_simple(corners)
        and not any(shared_area(outline, corners) > LEAST_OVERLAP * area(corners) for outline in ignored)
    ]
    return Outlines(found.corners[kept], found.scores[kept])


def _counted(regions: Sequence[Region], found: Outlines) -> tuple[int, int, int]:
    wanted, counted = (
        [region for region in regions if not region.is_ignored],
        counted_outlines(regions, found),
    )
    return len(wanted), len(counted), len(matched(wanted, counted))


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 4) if whole else None
