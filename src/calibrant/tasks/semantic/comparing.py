"""Two models' maps of the same images, compared; labels are needed for the classes' IoU only."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.tasks import Evaluated
from calibrant.tasks.media.images import read_numbers
from calibrant.tasks.semantic.differences import ClassIou, Flip, MapDifference, Segment, SemanticDifferences
from calibrant.tasks.semantic.evidence import PixelCounts
from calibrant.tasks.semantic.score import counted
from calibrant.tasks.semantic.types import ClassMap, MaskValues, SegmentedImage

MOST_IMAGES, MOST_FLIPS, MOST_CLASSES, MOST_SEGMENTS = 12, 12, 50, 12

_SAME, _HALF = 0.9, 0.5
_LEAST_SHARE = 0.002
"""Of an image's pixels: smaller parts are not drawn."""
_CORNERS_APART = 0.01
"""Of an outline's length: how far it may be simplified."""

Map = NDArray[np.uint16]


def agreement(reference: Sequence[ClassMap], found: Sequence[ClassMap], classes: int) -> float:
    """The mean IoU of one model's maps with the other's as if those were the labels, 0..1."""
    rows = [
        counted(ours.classes, theirs.classes, classes) for ours, theirs in zip(reference, found, strict=True)
    ]
    table = np.array(rows, np.int64).reshape(-1, 3, classes)
    value = PixelCounts(*(table[:, index] for index in range(3))).resample(np.ones((1, len(rows)), np.int64))[
        0
    ]
    return 1.0 if np.isnan(value) else float(value)


def differences_between(
    calibrator: str,
    samples: Sequence[SegmentedImage],
    reference: Evaluated,
    found: Evaluated,
    values: MaskValues,
    names: Sequence[str],
) -> SemanticDifferences:
    """Which pixels, of which classes, a candidate calls otherwise; names: of the model's classes."""
    pairs = list(zip(reference.predictions, found.predictions, strict=True))
    flips = np.zeros((len(names), len(names)), np.int64)
    broken = fixed = labelled = pixels = 0
    shares = []
    for sample, (ours, theirs) in zip(samples, pairs, strict=True):
        truth = values.classes_of(read_numbers(sample.mask))
        differ = ours.classes != theirs.classes
        np.add.at(flips, _pairs_of(ours.classes[differ], theirs.classes[differ], len(names)), 1)
        broken += int((differ & (ours.classes == truth)).sum())
        fixed += int((differ & (theirs.classes == truth)).sum())
        labelled += int((truth < len(names)).sum())
        pixels += differ.size
        shares.append(float(differ.mean()))
    worst = sorted(range(len(shares)), key=lambda index: (-shares[index], samples[index].id))[:MOST_IMAGES]
    return SemanticDifferences(
        calibrator=calibrator,
        images=len(pairs),
        changed=_percent(float(flips.sum()), pixels),
        broken=_percent(broken, labelled),
        fixed=_percent(fixed, labelled),
        classes=_classes(reference.score.evidence, found.score.evidence, names),
        flips=_flips(flips, pixels, names),
        worst_images=tuple(
            _difference(samples[index], *pairs[index], shares[index], names)
            for index in worst
            if shares[index]
        ),
    )


def _pairs_of(ours: Map, theirs: Map, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both maps' classes as indices; what is none of the classes counts as the last."""
    first, second = (np.minimum(part, count - 1).astype(np.int64) for part in (ours, theirs))
    return first, second


def _classes(before: object, after: object, names: Sequence[str]) -> tuple[ClassIou, ...]:
    assert isinstance(before, PixelCounts)
    assert isinstance(after, PixelCounts)
    labelled = before.labelled.sum(axis=0)
    rows = [
        ClassIou(
            names[index],
            _percent(int(labelled[index]), int(labelled.sum())),
            *(round(100 * float(counts.ious()[index]), 4) for counts in (before, after)),
        )
        for index in map(int, np.flatnonzero(labelled))
    ]
    rows.sort(key=lambda row: ((row.candidate or 0) - (row.reference or 0), row.name))
    return tuple(rows[:MOST_CLASSES])


def _flips(flips: NDArray[np.int64], pixels: int, names: Sequence[str]) -> tuple[Flip, ...]:
    order = np.argsort(-flips, axis=None, kind="stable")[:MOST_FLIPS]
    pairs = [np.unravel_index(int(index), flips.shape) for index in order]
    return tuple(
        Flip(names[int(ours)], names[int(theirs)], _percent(int(flips[ours, theirs]), pixels))
        for ours, theirs in pairs
        if flips[ours, theirs]
    )


def _difference(
    sample: SegmentedImage, ours: ClassMap, theirs: ClassMap, changed: float, names: Sequence[str]
) -> MapDifference:
    return MapDifference(
        image=sample.id,
        path=str(sample.path),
        changed=round(100 * changed, 4),
        reference=segments(ours.classes, theirs.classes, "lost", names),
        candidate=segments(theirs.classes, ours.classes, "gained", names),
    )


def segments(classes: Map, other: Map, alone: str, names: Sequence[str]) -> tuple[Segment, ...]:
    """The largest connected parts of a map, with what became of each in the other map."""
    found: list[tuple[int, Segment]] = []
    for index in np.unique(classes[classes < len(names)]):
        is_class = (classes == index).astype(np.uint8)
        _, parts, facts, _ = cv2.connectedComponentsWithStats(is_class, connectivity=4)
        for part, area in enumerate(facts[:, cv2.CC_STAT_AREA]):
            if part == 0 or area < _LEAST_SHARE * classes.size:
                continue
            here = parts == part
            share = float((other[here] == index).mean())
            fate = "kept" if share >= _SAME else "moved" if share >= _HALF else alone
            found.append((int(area), Segment(_outline(here), names[int(index)], fate)))
    found.sort(key=lambda each: -each[0])
    return tuple(segment for _, segment in found[:MOST_SEGMENTS])


def _outline(part: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest = max(contours, key=len)
    plain = cv2.approxPolyDP(longest, _CORNERS_APART * cv2.arcLength(longest, True), True)
    return tuple((float(x), float(y)) for x, y in plain.reshape(-1, 2))


def _percent(part: float, whole: int) -> float:
    return round(100 * part / whole, 4) if whole else 0.0
