"""How a candidate's detections differ from FP32's, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.tasks.detection.differences import DetectionDifferences

_CLASSES, _IMAGES = 3, 3


def difference_lines(found: DetectionDifferences) -> Iterator[str]:
    """What stays, moves, is lost and is new; sizes, classes and images that changed most."""
    fp32, int8 = found.fp32, found.int8
    yield (
        f"\n{found.calibrator}: of {found.fp32_boxes} boxes above {fp32.threshold:.2f} (FP32's best F1) "
        f"{found.kept} stay, {found.moved} move, {found.lost} are lost, {found.gained} are new"
    )
    yield (
        f"best threshold {fp32.threshold:.2f} -> {int8.threshold:.2f}, F1 {fp32.f1:.3f} -> {int8.f1:.3f} "
        f"({int8.f1_at_fp32:.3f} at FP32's)"
    )
    if found.fp32_score is not None and found.int8_score is not None:
        yield f"mean score of the same boxes: {found.fp32_score:.3f} -> {found.int8_score:.3f}"
    sizes = [group for group in found.groups if group.kind == "size" and group.fp32 is not None]
    yield "AP: " + ", ".join(_group(group.name, group.fp32, group.int8) for group in sizes)
    classes = [group for group in found.groups if group.kind == "class"]
    worst = sorted(classes, key=lambda group: (group.int8 or 0) - (group.fp32 or 0))[:_CLASSES]
    yield "classes that lose most: " + ", ".join(
        f"{_group(group.name, group.fp32, group.int8)} ({group.boxes} boxes)" for group in worst
    )
    images = [image.image for image in found.worst_images[:_IMAGES]]
    yield f"images that differ most: {', '.join(images) or 'none'}"


def _group(name: str, fp32: float | None, int8: float | None) -> str:
    return f"{name} {fp32 or 0.0:.1f} -> {int8 or 0.0:.1f}"
