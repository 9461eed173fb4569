"""What a report shows of segmenters: the classes that lose, and the maps that changed most, side by side."""

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
from calibrant.tasks.semantic.differences import MapDifference, Segment, SemanticDifferences

_IMAGES, _TOLD = 6, 3


def classes(material: Material) -> Section | None:
    """IoU by class, and what becomes what; None without a diagnosis."""
    found = _found(material)
    if not found:
        return None
    blocks: list[Block] = []
    for each in found:
        blocks += [Paragraph(f"Under {each.calibrator}, {each.sentence()}."), _ious(each), _flips(each)]
    return Section("classes", "Classes of pixels", tuple(blocks))


def images(material: Material) -> Section | None:
    """Both models' maps side by side; None where all are the same."""
    budget = Budget()
    blocks: list[Block] = []
    for each in _found(material):
        worst = [_photo(image, budget) for image in each.worst_images[:_IMAGES]]
        if worst:
            blocks += [Heading(f"{each.calibrator}, worst first"), Photos(each.calibrator, tuple(worst))]
    if not blocks:
        return None
    told = (
        "Each outline is a part of a map, with its class. A solid line: nine tenths of it are of the same "
        "class in the other map; dots: a half; dashes: the part is lost, or INT8's alone."
    )
    return Section("images", "The images that changed most", (Paragraph(told), *blocks))


def difference_lines(found: SemanticDifferences) -> Iterator[str]:
    """How a candidate's maps differ from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    yield "IoU by class, the greatest loss first: " + ", ".join(
        f"{row.name} {row.reference or 0:.1f} -> {row.candidate or 0:.1f} %" for row in found.classes[:_TOLD]
    )
    yield f"images that differ most: {', '.join(i.image for i in found.worst_images[:_TOLD]) or 'none'}"


def _found(material: Material) -> list[SemanticDifferences]:
    return winner_first(material.diagnosis.differences if material.diagnosis else (), material)


def _ious(found: SemanticDifferences) -> Table:
    columns = (
        Column("Class"),
        Column("Pixels, %", "number"),
        Column("FP32", "number"),
        Column(found.calibrator, "number"),
    )
    rows = tuple(
        (Cell(row.name), *(_share(value) for value in (row.pixels, row.reference, row.candidate)))
        for row in found.classes
    )
    return Table("IoU by class, percent, the greatest loss first", columns, rows, is_open=True)


def _flips(found: SemanticDifferences) -> Table:
    columns = (Column("FP32"), Column(found.calibrator), Column("Pixels, %", "number"))
    rows = tuple(
        (Cell(flip.reference), Cell(flip.candidate), Cell(f"{flip.pixels:.3f}", flip.pixels))
        for flip in found.flips
    )
    return Table("What becomes what", columns, rows)


def _share(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.1f}", value)


def _photo(image: MapDifference, budget: Budget) -> Photo:
    small = small_copy(image.path, LONGEST_SIDE)
    corners = [corner for part in (*image.reference, *image.candidate) for corner in part.corners]
    right, bottom = (max([corner[axis] for corner in corners], default=1.0) for axis in (0, 1))
    scale = small.scale if small else min(1.0, LONGEST_SIDE / max(right, bottom, 1.0))
    width = small.width if small else max(1, round(right * scale))
    height = small.height if small else max(1, round(bottom * scale))
    return Photo(
        name=image.image,
        summary=f"{image.changed:.1f} % of its pixels change",
        width=width,
        height=height,
        source=budget.take(small) if small else None,
        fp32=placed_labels([_drawn(part, scale) for part in image.reference], width, height),
        int8=placed_labels([_drawn(part, scale) for part in image.candidate], width, height),
    )


def _drawn(part: Segment, scale: float) -> DrawnBox:
    corners = tuple((round(x * scale, 1), round(y * scale, 1)) for x, y in part.corners)
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    width, height = (max(corner[axis] for corner in corners) - low for axis, low in ((0, left), (1, top)))
    return DrawnBox(left, top, width, height, part.label, left, max(top - 3, 11.0), False, part.fate, corners)


SECTIONS = (classes, images)
