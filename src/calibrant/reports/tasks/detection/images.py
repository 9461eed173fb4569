"""The same image with FP32's and INT8's boxes side by side, worst cases first."""

from __future__ import annotations

from calibrant.reports.html.blocks import Block, DrawnBox, Heading, Paragraph, Photo, Photos, Section
from calibrant.reports.material import Material
from calibrant.reports.tasks.labels import placed_labels
from calibrant.reports.tasks.pictures import LONGEST_SIDE, Budget, small_copy
from calibrant.tasks.detection.differences import Box, DetectionDifferences, ImageDifference

_IMAGES = 6
_NOTES = {"lost": "lost: ", "gained": "new: "}


def images(material: Material) -> Section | None:
    """None where the diagnosis compared no boxes, or all are the same."""
    budget = Budget()
    blocks: list[Block] = []
    for found in _winner_first(material):
        worst = [image for image in found.worst_images[:_IMAGES] if image.fp32 or image.int8]
        if worst:
            photos = tuple(_photo(image, budget) for image in worst)
            blocks += [Heading(f"{found.calibrator}, worst first"), Photos(found.calibrator, photos)]
            threshold = found.fp32.threshold
    if not blocks:
        return None
    told = (
        f"Boxes with a score of {threshold:.2f} or more, FP32's best threshold. A solid line is a box that "
        "both models have; dashes mark one that FP32 has and INT8 lost, a double line one that only "
        "INT8 has, and dots one that moved. Where boxes are crowded some have no label; pointing at one "
        "shows it."
    )
    return Section("images", "The images that changed most", (Paragraph(told), *blocks))


def _winner_first(material: Material) -> list[DetectionDifferences]:
    found = material.diagnosis.differences if material.diagnosis else ()
    return sorted(found, key=lambda difference: difference.calibrator != material.winning)


def _photo(image: ImageDifference, budget: Budget) -> Photo:
    small = small_copy(image.path, LONGEST_SIDE)
    width, height, scale = _frame_of((*image.fp32, *image.int8))
    if small is not None:
        width, height, scale = small.width, small.height, small.scale
    return Photo(
        name=image.image,
        summary=f"{image.lost} lost, {image.gained} new, {image.moved} moved",
        width=width,
        height=height,
        source=budget.take(small) if small else None,
        fp32=_labelled(image.fp32, scale, width, height),
        int8=_labelled(image.int8, scale, width, height),
    )


def _changed_last(boxes: tuple[Box, ...]) -> list[Box]:
    """Boxes in the order of drawing, so that none hides a lost or a new one."""
    return sorted(boxes, key=lambda box: box.fate in _NOTES)


def _frame_of(boxes: tuple[Box, ...]) -> tuple[int, int, float]:
    """The size of an image of which only boxes are known, and their scale."""
    right, bottom = max(box.x2 for box in boxes), max(box.y2 for box in boxes)
    scale = min(1.0, LONGEST_SIDE / max(right, bottom, 1.0))
    return max(1, round(right * scale)), max(1, round(bottom * scale)), scale


def _labelled(boxes: tuple[Box, ...], scale: float, width: int, height: int) -> tuple[DrawnBox, ...]:
    return placed_labels([_drawn(box, scale) for box in _changed_last(boxes)], width, height)


def _drawn(box: Box, scale: float) -> DrawnBox:
    left, top, right, bottom = (round(corner * scale, 1) for corner in (box.x1, box.y1, box.x2, box.y2))
    return DrawnBox(
        x=left,
        y=top,
        width=round(max(right - left, 0.0), 1),
        height=round(max(bottom - top, 0.0), 1),
        label=f"{_NOTES.get(box.fate, '')}{box.label} {box.score:.2f}",
        label_x=left,
        label_y=top,
        ends_at_x=False,
        fate=box.fate,
    )
