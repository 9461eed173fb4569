"""What a report shows of segmenters: the classes that lose, and the maps that changed most, side by side."""

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
from calibrant.tasks.semantic.differences import MapDifference, Segment, SemanticDifferences

_TOLD = 3


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
    told = (
        "Each outline is a part of a map, with its class. A solid line: nine tenths of it are of the same "
        "class in the other map; dots: a half; dashes: the part is lost, or INT8's alone."
    )
    return images_that_changed(_found(material), _photo, told)


def difference_lines(found: SemanticDifferences) -> Iterator[str]:
    """How a candidate's maps differ from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    yield "IoU by class, the greatest loss first: " + ", ".join(
        f"{row.name} {row.reference or 0:.1f} -> {row.candidate or 0:.1f} %" for row in found.classes[:_TOLD]
    )
    yield f"images that differ most: {', '.join(i.image for i in found.worst_images[:_TOLD]) or 'none'}"


def _found(material: Material) -> list[SemanticDifferences]:
    return differences_in(material)


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
    summary = f"{image.changed:.1f} % of its pixels change"
    both = _outlines(image.reference), _outlines(image.candidate)
    return outlined(image.image, image.path, summary, *both, budget)


def _outlines(parts: Sequence[Segment]) -> list[Outline]:
    return [Outline(part.corners, part.label, part.fate) for part in parts]


SECTIONS = (classes, images)
