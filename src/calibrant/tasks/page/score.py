"""Pages that were read against what is written there: errors of finding and of reading in one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.core.metrics import MINIMIZE, Figure, Metric, Score
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.pages import PageSample
from calibrant.tasks.media.texts import Normalisation, edits_between
from calibrant.tasks.page.types import PageText
from calibrant.tasks.text_detection.score import counted_outlines, matched

PAGE_CER = Metric("page-cer", "CER", direction=MINIMIZE, floor=0.9)
"""Character errors by written characters. A region that no outline finds has all its characters missed, an
outline that finds none has all its text invented.
"""


@dataclass(frozen=True)
class PageEdits:
    """One page, in characters; regions, found and right are counted as text detection counts them.

    misread: edits within regions that were found, which hold ``read`` written characters. missed: of regions
    that were not. invented: of outlines that find no region.
    """

    written: int
    read: int
    misread: int
    missed: int
    invented: int
    regions: int
    found: int
    right: int

    @property
    def count(self) -> int:
        """All edits."""
        return self.misread + self.missed + self.invented


def edits_of(page: PageSample, text: PageText, normalise: Normalisation) -> PageEdits:
    """The edits of one page. What lies on an ignored region counts neither way."""
    wanted = [region for region in page.regions if not region.is_ignored]
    counted = counted_outlines(page.regions, text.outlines)
    lines = _lines_of(text, counted.corners)
    pairs = matched(wanted, counted)
    written = [normalise(region.text) for region in wanted]
    return PageEdits(
        written=sum(map(len, written)),
        read=sum(len(written[region]) for region in pairs),
        misread=sum(edits_between(written[r], normalise(lines[o])).count for r, o in pairs.items()),
        missed=sum(len(one) for index, one in enumerate(written) if index not in pairs),
        invented=sum(len(normalise(line)) for index, line in enumerate(lines) if index not in pairs.values()),
        regions=len(wanted),
        found=len(counted),
        right=len(pairs),
    )


def evidence_of(edits: Sequence[PageEdits]) -> EditCounts:
    """Of each page its edits and its characters."""
    return EditCounts(
        np.array([page.count for page in edits], np.int64),
        np.array([page.written for page in edits], np.int64),
    )


def score(pages: Sequence[PageSample], texts: Sequence[PageText], normalise: Normalisation) -> Score:
    """The character error rate over all pages, and what of it is whose fault."""
    edits = [edits_of(page, text, normalise) for page, text in zip(pages, texts, strict=True)]
    evidence = evidence_of(edits)
    value = float(evidence.resample(np.ones((1, len(pages)), np.int64))[0])
    written, both = sum(page.written for page in edits), sum(page.regions + page.found for page in edits)
    figures = (
        Figure("hmean", _percent(2 * sum(page.right for page in edits), both)),
        Figure("missed", _percent(sum(page.missed for page in edits), written)),
        Figure("invented", _percent(sum(page.invented for page in edits), written)),
        Figure("misread", _percent(sum(page.misread for page in edits), written)),
        Figure("CER where found", _percent(sum(p.misread for p in edits), sum(p.read for p in edits))),
    )
    return Score(PAGE_CER, value, figures, evidence)


def _lines_of(text: PageText, corners: np.ndarray) -> list[str]:
    """The texts of outlines that were kept of a page's, in their order."""
    lines = iter(zip(text.outlines.corners, text.lines, strict=True))
    return [next(line.text for outline, line in lines if np.array_equal(outline, kept)) for kept in corners]


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 4) if whole else None
