"""Labels of boxes on a photograph, placed so that none covers another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from calibrant.reports.html.blocks import DrawnBox

CHARACTER, LINE = 6.6, 13.0
"""Width of a character and height of a line of report.css's labels (11 px, semibold), in pixels."""
_ABOVE, _BASELINE = 3.0, 11.0
_FIRST = ("lost", "gained")

_Area = tuple[float, float, float, float]


def placed_labels(boxes: Sequence[DrawnBox], width: float, height: float) -> tuple[DrawnBox, ...]:
    """The boxes in their order, each with its label where there is room, or without one.

    Lost and new boxes come first, then larger ones; tried are the places above the box, inside at its top,
    and below it, from its left side and towards its right one. A box keeps its label as its ``title``.
    """
    taken: list[_Area] = []
    placed = list(boxes)
    order = sorted(
        range(len(boxes)),
        key=lambda i: (boxes[i].fate not in _FIRST, -boxes[i].width * boxes[i].height),
    )
    for index in order:
        placed[index] = _placed(boxes[index], taken, width, height)
    return tuple(placed)


def _placed(box: DrawnBox, taken: list[_Area], width: float, height: float) -> DrawnBox:
    if not box.label:
        return box
    for x, y, ends in _places(box, width):
        area = _area(box.label, x, y, ends=ends)
        is_inside = area[0] >= 0 and area[2] <= width and area[1] >= 0 and area[3] <= height
        if is_inside and not any(_overlap(area, other) for other in taken):
            taken.append(area)
            return replace(box, title=box.label, label_x=x, label_y=y, ends_at_x=ends)
    return replace(box, title=box.label, label="")


def _places(box: DrawnBox, width: float) -> Iterator[tuple[float, float, bool]]:
    left, right = max(box.x, 2.0), min(box.x + box.width, width - 2.0)
    for y in (box.y - _ABOVE, box.y + _BASELINE, box.y + box.height + _BASELINE):
        yield round(left, 1), round(y, 1), False
        yield round(right, 1), round(y, 1), True


def _area(label: str, x: float, y: float, *, ends: bool) -> _Area:
    length = CHARACTER * len(label)
    left = x - length if ends else x
    return left, y - _BASELINE, left + length, y - _BASELINE + LINE


def _overlap(one: _Area, other: _Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
