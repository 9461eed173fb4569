"""Photographs with outlines of both models drawn on them, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calibrant.reports.html.blocks import Block, DrawnBox, Heading, Paragraph, Photo, Photos, Section
from calibrant.reports.tasks.labels import placed_labels
from calibrant.reports.tasks.pictures import LONGEST_SIDE, Budget, small_copy

_IMAGES = 6


@dataclass(frozen=True)
class Outline:
    """A closed line in pixels of the image, the word beside it, and what became of it (``DrawnBox.fate``)."""

    corners: tuple[tuple[float, float], ...]
    label: str
    fate: str


class _WithWorstImages(Protocol):
    @property
    def calibrator(self) -> str: ...

    @property
    def worst_images(self) -> Sequence[Any]: ...


def images_that_changed(
    found: Sequence[_WithWorstImages], photo: Callable[[Any, Budget], Photo], told: str
) -> Section | None:
    """Each candidate's worst images; None where all are the same. told: what the lines mean."""
    budget = Budget()
    blocks: list[Block] = []
    for each in found:
        worst = tuple(photo(image, budget) for image in each.worst_images[:_IMAGES])
        if worst:
            blocks += [Heading(f"{each.calibrator}, worst first"), Photos(each.calibrator, worst)]
    return Section("images", "The images that changed most", (Paragraph(told), *blocks)) if blocks else None


def outlined(
    name: str,
    path: str,
    summary: str,
    reference: Sequence[Outline],
    candidate: Sequence[Outline],
    budget: Budget,
) -> Photo:
    """An image, in the size that it is shown in, with both models' outlines; also where its file is gone."""
    small = small_copy(path, LONGEST_SIDE)
    corners = [corner for outline in (*reference, *candidate) for corner in outline.corners]
    right, bottom = (max([corner[axis] for corner in corners], default=1.0) for axis in (0, 1))
    scale = small.scale if small else min(1.0, LONGEST_SIDE / max(right, bottom, 1.0))
    width = small.width if small else max(1, round(right * scale))
    height = small.height if small else max(1, round(bottom * scale))
    return Photo(
        name=name,
        summary=summary,
        width=width,
        height=height,
        source=budget.take(small) if small else None,
        fp32=placed_labels([_drawn(outline, scale) for outline in reference], width, height),
        int8=placed_labels([_drawn(outline, scale) for outline in candidate], width, height),
    )


def _drawn(outline: Outline, scale: float) -> DrawnBox:
    corners = tuple((round(x * scale, 1), round(y * scale, 1)) for x, y in outline.corners)
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    width, height = (max(corner[axis] for corner in corners) - low for axis, low in ((0, left), (1, top)))
    return DrawnBox(
        left, top, width, height, outline.label, left, max(top - 3, 11.0), False, outline.fate, corners
    )
