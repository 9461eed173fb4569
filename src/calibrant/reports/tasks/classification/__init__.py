"""What a report shows of classifiers: the classes that change, and images whose class changed."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.reports.html.blocks import Block, Cell, Column, Heading, Paragraph, Photos, Section, Table
from calibrant.reports.material import Material
from calibrant.reports.tasks.pictures import Budget, differences_in, with_captions
from calibrant.tasks.classification.differences import ClassificationDifferences, ImageChange

_IMAGES, _TOLD = 8, 3


def classes(material: Material) -> Section | None:
    """Accuracy by class and what becomes what; None without a diagnosis."""
    found = _found(material)
    if not found:
        return None
    blocks: list[Block] = []
    for each in found:
        blocks += [Paragraph(f"Under {each.calibrator}, {each.sentence()}."), _accuracies(each), _flips(each)]
    return Section("classes", "Classes", tuple(blocks))


def images(material: Material) -> Section | None:
    """The images whose class changed although the float model was sure; None where none did."""
    budget = Budget()
    blocks: list[Block] = []
    for each in _found(material):
        worst = each.worst_images[:_IMAGES]
        if worst:
            photos = tuple(
                with_captions(
                    change.image, f"labelled {change.label}", change.path, _captions(change), budget, 320
                )
                for change in worst
            )
            blocks += [Heading(f"{each.calibrator}, worst first"), Photos(each.calibrator, photos)]
    return Section("images", "The images whose class changed", tuple(blocks)) if blocks else None


def difference_lines(found: ClassificationDifferences) -> Iterator[str]:
    """How a candidate's classes differ from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    yield "classes that lose most: " + ", ".join(
        f"{each.name} {each.reference:.1f} -> {each.candidate:.1f} ({each.images} images)"
        for each in found.classes[:_TOLD]
    )


def _found(material: Material) -> list[ClassificationDifferences]:
    return differences_in(material)


def _captions(change: ImageChange) -> tuple[str, str]:
    return (
        f"{change.reference} {change.reference_confidence:.2f}",
        f"{change.candidate} {change.candidate_confidence:.2f}",
    )


def _accuracies(found: ClassificationDifferences) -> Table:
    columns = (
        Column("Class"),
        Column("Images", "number"),
        Column("FP32", "number"),
        Column(found.calibrator, "number"),
    )
    rows = tuple(
        (
            Cell(each.name),
            Cell(str(each.images), each.images),
            Cell(f"{each.reference:.1f}", each.reference),
            Cell(f"{each.candidate:.1f}", each.candidate),
        )
        for each in found.classes
    )
    return Table("Top-1 accuracy by class, points", columns, rows, is_open=True)


def _flips(found: ClassificationDifferences) -> Table:
    columns = (
        Column("Labelled"),
        Column("FP32 says"),
        Column("The candidate says"),
        Column("Images", "number"),
    )
    rows = tuple(
        (Cell(flip.label), Cell(flip.reference), Cell(flip.candidate), Cell(str(flip.images), flip.images))
        for flip in found.flips
    )
    return Table("What becomes what", columns, rows)


SECTIONS = (classes, images)
