"""What a report shows of text detectors: what is found by height, and the images that changed most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrant.reports.html.blocks import (
    Block,
    Cell,
    Column,
    Paragraph,
    Photo,
    Section,
    Table,
)
from calibrant.reports.material import Material
from calibrant.reports.tasks.outlines import Outline, images_that_changed, outlined
from calibrant.reports.tasks.pictures import Budget, differences_in
from calibrant.tasks.text_detection.differences import (
    DrawnOutline,
    PageDifference,
    TextDetectionDifferences,
)

_TOLD = 3


def regions(material: Material) -> Section | None:
    """What is lost, moved and new, and recall by height; None without a diagnosis."""
    found = _found(material)
    if not found:
        return None
    blocks: list[Block] = [Paragraph(f"Under {each.calibrator}, {each.sentence()}.") for each in found]
    columns = (
        Column("Height"),
        Column("Regions", "number"),
        Column("FP32", "number"),
        *(Column(each.calibrator, "number") for each in found),
    )
    rows = tuple(
        (
            Cell(group.name),
            Cell(f"{group.regions:,}", group.regions),
            _share(group.reference),
            *(_share(next(g.candidate for g in each.groups if g.name == group.name)) for each in found),
        )
        for group in found[0].groups
    )
    table = Table("Labelled regions that are found, by height, percent", columns, rows, is_open=True)
    return Section("regions", "Regions of text", (*blocks, table))


def images(material: Material) -> Section | None:
    """Outlines of both models side by side; None where all are the same."""
    told = (
        "A solid line is an outline that both models have; dashes mark one that FP32 has and INT8 lost, dots "
        "one that moved, and an outline with the word new is INT8's alone."
    )
    return images_that_changed(_found(material), _photo, told)


def difference_lines(found: TextDetectionDifferences) -> Iterator[str]:
    """How a candidate's outlines differ from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    yield "found by height: " + ", ".join(
        f"{group.name} {group.reference or 0:.1f} -> {group.candidate or 0:.1f} % ({group.regions})"
        for group in found.groups
    )
    yield f"images that differ most: {', '.join(i.image for i in found.worst_images[:_TOLD]) or 'none'}"


def _found(material: Material) -> list[TextDetectionDifferences]:
    return differences_in(material)


def _share(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.1f}", value)


def _photo(image: PageDifference, budget: Budget) -> Photo:
    summary = f"{image.lost} lost, {image.gained} new, {image.moved} moved"
    both = _outlines(image.reference), _outlines(image.candidate)
    return outlined(image.image, image.path, summary, *both, budget)


def _outlines(found: Sequence[DrawnOutline]) -> list[Outline]:
    words = {"lost": "lost", "gained": "new"}
    return [Outline(one.corners, words.get(one.fate, ""), one.fate) for one in found]


SECTIONS = (regions, images)
