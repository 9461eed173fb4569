"""What a report shows of text detectors: what is found by height, and the images that changed most."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.reports.html.blocks import (
    Block,
    Cell,
    Column,
    DrawnBox,
    Heading,
    Paragraph,
    Photo,
    Photos,
    Section,
    Table,
)
from calibrant.reports.material import Material
from calibrant.reports.tasks.labels import placed_labels
from calibrant.reports.tasks.pictures import LONGEST_SIDE, Budget, small_copy, winner_first
from calibrant.tasks.text_detection.differences import (
    DrawnOutline,
    PageDifference,
    TextDetectionDifferences,
)

_IMAGES, _TOLD = 6, 3


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
    budget = Budget()
    blocks: list[Block] = []
    for each in _found(material):
        worst = [_photo(image, budget) for image in each.worst_images[:_IMAGES]]
        if worst:
            blocks += [Heading(f"{each.calibrator}, worst first"), Photos(each.calibrator, tuple(worst))]
    if not blocks:
        return None
    told = (
        "A solid line is an outline that both models have; dashes mark one that FP32 has and INT8 lost, dots "
        "one that moved, and an outline with the word new is INT8's alone."
    )
    return Section("images", "The images that changed most", (Paragraph(told), *blocks))


def difference_lines(found: TextDetectionDifferences) -> Iterator[str]:
    """How a candidate's outlines differ from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    yield "found by height: " + ", ".join(
        f"{group.name} {group.reference or 0:.1f} -> {group.candidate or 0:.1f} % ({group.regions})"
        for group in found.groups
    )
    yield f"images that differ most: {', '.join(i.image for i in found.worst_images[:_TOLD]) or 'none'}"


def _found(material: Material) -> list[TextDetectionDifferences]:
    return winner_first(material.diagnosis.differences if material.diagnosis else (), material)


def _share(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.1f}", value)


def _photo(image: PageDifference, budget: Budget) -> Photo:
    small = small_copy(image.path, LONGEST_SIDE)
    corners = [corner for one in (*image.reference, *image.candidate) for corner in one.corners]
    right, bottom = (max([corner[axis] for corner in corners], default=1.0) for axis in (0, 1))
    scale = small.scale if small else min(1.0, LONGEST_SIDE / max(right, bottom, 1.0))
    width = small.width if small else max(1, round(right * scale))
    height = small.height if small else max(1, round(bottom * scale))
    return Photo(
        name=image.image,
        summary=f"{image.lost} lost, {image.gained} new, {image.moved} moved",
        width=width,
        height=height,
        source=budget.take(small) if small else None,
        fp32=placed_labels([_drawn(one, scale) for one in image.reference], width, height),
        int8=placed_labels([_drawn(one, scale) for one in image.candidate], width, height),
    )


def _drawn(one: DrawnOutline, scale: float) -> DrawnBox:
    corners = tuple((round(x * scale, 1), round(y * scale, 1)) for x, y in one.corners)
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    width, height = (max(corner[axis] for corner in corners) - low for axis, low in ((0, left), (1, top)))
    label = {"lost": "lost", "gained": "new"}.get(one.fate, "")
    return DrawnBox(left, top, width, height, label, left, max(top - 3, 11.0), False, one.fate, corners)


SECTIONS = (regions, images)
