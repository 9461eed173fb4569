"""Two models' readings of the same pages, compared; no labels are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calibrant.core.tasks import Evaluated
from calibrant.tasks.media.pages import PageSample
from calibrant.tasks.media.texts import edits_between
from calibrant.tasks.page.differences import PageChange, PageDifferences, ReadLine
from calibrant.tasks.page.types import PageText
from calibrant.tasks.text_detection.comparing import pairs_of

_MOST_PAGES = 12


def agreement(reference: Sequence[PageText], found: Sequence[PageText]) -> float:
    """1 - edits between both models' lines by the characters of the longer text, over all pages.

    A line that only one of them finds is all edits; 1 where neither reads anything.
    """
    both = list(zip(reference, found, strict=True))
    longest = sum(max(_length(ours), _length(theirs)) for ours, theirs in both)
    edits = sum(_edits(ours, theirs) for ours, theirs in both)
    return max(0.0, 1 - edits / longest) if longest else 1.0


def differences_between(
    calibrator: str, samples: Sequence[PageSample], reference: Evaluated, found: Evaluated
) -> PageDifferences:
    """What a candidate reads otherwise than the float model."""
    pages = [
        _page(sample, ours, theirs)
        for sample, ours, theirs in zip(samples, reference.predictions, found.predictions, strict=True)
    ]
    fates = [line.fate for page in pages for line in page.reference]
    worst = sorted((page for page in pages if page.edits), key=lambda page: (-page.edits, page.page))
    return PageDifferences(
        calibrator=calibrator,
        pages=len(pages),
        same=fates.count("kept"),
        changed=fates.count("moved"),
        lost=fates.count("lost"),
        gained=sum(line.fate == "gained" for page in pages for line in page.candidate),
        worst_pages=tuple(worst[:_MOST_PAGES]),
    )


def _length(page: PageText) -> int:
    return sum(len(line.text) for line in page.lines)


def _edits(ours: PageText, theirs: PageText) -> int:
    pairs = [(one, other) for one, other, _ in pairs_of(ours.outlines, theirs.outlines)]
    changed = sum(edits_between(ours.lines[one].text, theirs.lines[other].text).count for one, other in pairs)
    alone = _length(ours) + _length(theirs)
    alone -= sum(len(ours.lines[one].text) + len(theirs.lines[other].text) for one, other in pairs)
    return changed + alone


def _page(sample: PageSample, ours: PageText, theirs: PageText) -> PageChange:
    fates: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for one, other, _ in pairs_of(ours.outlines, theirs.outlines):
        is_same = ours.lines[one].text == theirs.lines[other].text
        fates[0][one] = fates[1][other] = "kept" if is_same else "moved"
    return PageChange(
        sample.id,
        str(sample.path),
        _edits(ours, theirs),
        _lines(ours, fates[0], "lost"),
        _lines(theirs, fates[1], "gained"),
    )


def _lines(page: PageText, fates: Mapping[int, str], alone: str) -> tuple[ReadLine, ...]:
    return tuple(
        ReadLine(tuple((float(x), float(y)) for x, y in corners), line.text, fates.get(index, alone))
        for index, (corners, line) in enumerate(zip(page.outlines.corners, page.lines, strict=True))
    )
