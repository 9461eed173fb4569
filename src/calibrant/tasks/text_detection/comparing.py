"""Two models' outlines of the same images, compared; no labels are needed but for recall by height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.tasks import Evaluated
from calibrant.tasks.media.pages import PageSample
from calibrant.tasks.media.polygons import overlap
from calibrant.tasks.text_detection.differences import (
    DrawnOutline,
    GroupRecall,
    PageDifference,
    TextDetectionDifferences,
)
from calibrant.tasks.text_detection.score import LEAST_OVERLAP, counted_outlines, matched
from calibrant.tasks.text_detection.types import Outlines

HEIGHTS: Mapping[str, tuple[float, float]] = {
    "below 16 pixels": (0, 16),
    "16 to 32 pixels": (16, 32),
    "32 to 64 pixels": (32, 64),
    "64 pixels and more": (64, float("inf")),
}

_SAME = 0.9
_MOST_IMAGES = 24

Pair = tuple[int, int, float]  # reference's index, candidate's index, overlap


def height_of(outline: NDArray[Any]) -> str:
    """The band of an outline's height: the mean of its two ends, as outlines begin at the upper left."""
    corners = np.asarray(outline, np.float64)
    middle = len(corners) // 2
    sides = np.linalg.norm(corners[0] - corners[-1]), np.linalg.norm(corners[middle - 1] - corners[middle])
    across = float(np.mean(sides))
    return next(name for name, (low, high) in HEIGHTS.items() if low <= across < high)


def pairs_of(reference: Outlines, found: Outlines) -> tuple[Pair, ...]:
    """Which outline is which, one to one: the greatest overlap first, none below a half."""
    overlaps = np.array(
        [[overlap(ours, theirs) for theirs in found.corners] for ours in reference.corners]
    ).reshape(len(reference), len(found))
    pairs: list[Pair] = []
    while overlaps.size and overlaps.max() >= LEAST_OVERLAP:
        ours, theirs = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        pairs.append((int(ours), int(theirs), float(overlaps[ours, theirs])))
        overlaps[ours, :] = overlaps[:, theirs] = 0
    return tuple(pairs)


def agreement(reference: Sequence[Outlines], found: Sequence[Outlines]) -> float:
    """How far two models find the same outlines with the same scores, 0..1, over all images.

    A Dice coefficient in which a pair counts its overlap times both scores, and an outline alone its squared
    score; 1 where neither found anything.
    """
    both = each = 0.0
    for ours, theirs in zip(reference, found, strict=True):
        both += sum(
            share * ours.scores[one] * theirs.scores[other] for one, other, share in pairs_of(ours, theirs)
        )
        each += float(np.square(ours.scores).sum() + np.square(theirs.scores).sum())
    return 2 * both / each if each else 1.0


def differences_between(
    calibrator: str, samples: Sequence[PageSample], reference: Evaluated, found: Evaluated
) -> TextDetectionDifferences:
    """What a candidate finds otherwise than the float model."""
    pages = [
        _page(sample, ours, theirs)
        for sample, ours, theirs in zip(samples, reference.predictions, found.predictions, strict=True)
    ]
    shares = [
        share
        for ours, theirs in zip(reference.predictions, found.predictions, strict=True)
        for _, _, share in pairs_of(ours, theirs)
    ]
    worst = sorted(pages, key=lambda page: (-page.disagreement, page.image))
    return TextDetectionDifferences(
        calibrator=calibrator,
        images=len(pages),
        kept=sum(one.fate == "kept" for page in pages for one in page.reference),
        moved=sum(page.moved for page in pages),
        lost=sum(page.lost for page in pages),
        gained=sum(page.gained for page in pages),
        mean_overlap=float(np.mean(shares)) if shares else None,
        groups=_groups(samples, reference.predictions, found.predictions),
        worst_images=tuple(page for page in worst if page.disagreement > 0)[:_MOST_IMAGES],
    )


def _page(sample: PageSample, ours: Outlines, theirs: Outlines) -> PageDifference:
    fates: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for one, other, share in pairs_of(ours, theirs):
        fates[0][one] = fates[1][other] = "kept" if share >= _SAME else "moved"
    drawn = tuple(
        _drawn(outlines, fate, alone)
        for outlines, fate, alone in zip((ours, theirs), fates, ("lost", "gained"), strict=True)
    )
    lost, gained = (
        sum(one.fate == alone for one in side) for side, alone in zip(drawn, ("lost", "gained"), strict=True)
    )
    return PageDifference(
        image=sample.id,
        path=str(sample.path),
        disagreement=round(1 - agreement([ours], [theirs]), 6),
        lost=lost,
        gained=gained,
        moved=sum(one.fate == "moved" for one in drawn[0]),
        reference=drawn[0],
        candidate=drawn[1],
    )


def _drawn(outlines: Outlines, fates: Mapping[int, str], alone: str) -> tuple[DrawnOutline, ...]:
    return tuple(
        DrawnOutline(
            tuple((float(x), float(y)) for x, y in corners), round(float(score), 4), fates.get(index, alone)
        )
        for index, (corners, score) in enumerate(zip(outlines.corners, outlines.scores, strict=True))
    )


def _groups(samples: Sequence[PageSample], *predictions: Sequence[Outlines]) -> tuple[GroupRecall, ...]:
    regions = dict.fromkeys(HEIGHTS, 0)
    found = tuple(dict.fromkeys(HEIGHTS, 0) for _ in predictions)
    for index, sample in enumerate(samples):
        wanted = [region for region in sample.regions if not region.is_ignored]
        for region in wanted:
            regions[height_of(region.outline)] += 1
        for counts, predicted in zip(found, predictions, strict=True):
            for right in matched(wanted, counted_outlines(sample.regions, predicted[index])):
                counts[height_of(wanted[right].outline)] += 1
    return tuple(
        GroupRecall(name, total, *(round(100 * counts[name] / total, 4) for counts in found))
        for name, total in regions.items()
        if total
    )
