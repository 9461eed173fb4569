"""What users will notice: AP by size and class, scores, thresholds, boxes lost and gained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibrant.reports.html.blocks import Block, Cell, Column, Paragraph, Plot, Section, Table
from calibrant.reports.html.sections.roles import FP32, keys_of, role_of
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, percent, points, signed
from calibrant.tasks.detection.differences import DetectionDifferences, GroupAccuracy

_CLASSES = 20


def detections(material: Material) -> Section | None:
    """None without the diagnosis' comparison of boxes."""
    found = material.diagnosis.differences if material.diagnosis else ()
    if not found:
        return None
    plots = (_plot(found, "size", "By size", material), _plot(found, "class", _by_class(found), material))
    blocks: list[Block] = [
        *(Paragraph(_told(difference)) for difference in found),
        *(plot for plot in plots if plot is not None),
        _figures(found),
    ]
    return Section("detections", "Classes and boxes", tuple(blocks))


def _by_class(found: Sequence[DetectionDifferences]) -> str:
    classes = sum(group.kind == "class" for group in found[0].groups)
    return f"By class, the {_CLASSES} with most boxes of {classes}" if classes > _CLASSES else "By class"


def _told(found: DetectionDifferences) -> str:
    shift = ""
    if found.fp32_score is not None and found.int8_score is not None:
        change = found.int8_score - found.fp32_score
        verb = "rises" if change > 0 else "falls"
        shift = f" The score of the same object {verb} by {abs(change):.3f} on average."
    return (
        f"Under {found.calibrator}, of FP32's {found.fp32_boxes:,} boxes {found.kept:,} are kept, "
        f"{found.moved:,} moved and {found.lost:,} lost; {found.gained:,} are new.{shift} "
        f"The best threshold is {found.int8.threshold:.2f} (FP32: {found.fp32.threshold:.2f}); "
        f"F1 there is {found.int8.f1:.3f} (FP32: {found.fp32.f1:.3f}), and {found.int8.f1_at_fp32:.3f} at "
        "FP32's threshold."
    )


def _plot(found: Sequence[DetectionDifferences], kind: str, title: str, material: Material) -> Plot | None:
    groups = [group for group in found[0].groups if group.kind == kind and group.fp32 is not None]
    if not groups:
        return None
    shown = sorted(groups, key=lambda group: -group.boxes)[:_CLASSES] if kind == "class" else groups
    rows = [_row(group, found, material) for group in shown]
    return Plot(
        "groups",
        {"rows": rows, "label": "AP50-95 (points)"},
        alt="; ".join(row["tip"].replace("\n", ", ") for row in rows[:5]),
        title=title,
        keys=keys_of(material, [each.calibrator for each in found], with_float=True),
        table=_table(found, groups, kind),
    )


def _row(group: GroupAccuracy, found: Sequence[DetectionDifferences], material: Material) -> dict[str, Any]:
    marks = [{"role": FP32, "value": group.fp32}]
    told = [f"{group.name}: FP32 {points(group.fp32)}"]
    for difference in found:
        value = _of(difference, group)
        if value is not None:
            marks.append({"role": role_of(difference.calibrator, material), "value": value})
            told.append(f"{difference.calibrator} {points(value)}")
    return {"name": group.name, "boxes": group.boxes, "marks": marks, "tip": "\n".join(told)}


def _of(found: DetectionDifferences, group: GroupAccuracy) -> float | None:
    named = (g for g in found.groups if (g.kind, g.name) == (group.kind, group.name))
    return next((g.int8 for g in named), None)


def _table(found: Sequence[DetectionDifferences], groups: Sequence[GroupAccuracy], kind: str) -> Table:
    columns = (
        Column(kind),
        Column("boxes", "number"),
        Column("FP32", "number"),
        *(Column(text, "number") for d in found for text in (d.calibrator, "change")),
    )
    rows = tuple(
        (
            Cell(group.name),
            Cell(f"{group.boxes:,}", group.boxes),
            Cell(points(group.fp32), group.fp32),
            *(cell for difference in found for cell in _change(group.fp32, _of(difference, group))),
        )
        for group in groups
    )
    return Table(f"All {len(groups)} {'classes' if kind == 'class' else 'sizes'}", columns, rows)


def _change(fp32: float | None, int8: float | None) -> tuple[Cell, Cell]:
    if fp32 is None or int8 is None:
        return Cell(points(int8), int8), Cell(NOTHING)
    return Cell(points(int8), int8), Cell(signed(int8 - fp32), int8 - fp32)


def _figures(found: Sequence[DetectionDifferences]) -> Table:
    columns = (
        Column("at its best threshold"),
        *(Column(t, "number") for t in ("threshold", "precision", "recall", "F1")),
    )
    named = [("FP32", found[0].fp32), *((difference.calibrator, difference.int8) for difference in found)]
    rows = tuple(
        (
            Cell(name),
            Cell(f"{at.threshold:.3f}", at.threshold),
            Cell(percent(at.precision), at.precision),
            Cell(percent(at.recall), at.recall),
            Cell(f"{at.f1:.3f}", at.f1),
        )
        for name, at in named
    )
    return Table("Precision and recall", columns, rows)
