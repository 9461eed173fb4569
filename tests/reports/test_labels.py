"""Labels on a photograph: none covers another, and the changed boxes keep theirs first."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from calibrant.reports.html.blocks import DrawnBox
from calibrant.reports.tasks.labels import CHARACTER, LINE, placed_labels

WIDTH, HEIGHT = 320.0, 240.0


def box(x: float, y: float, width: float, height: float, fate: str = "kept") -> DrawnBox:
    return DrawnBox(x, y, width, height, f"person {fate}", x, y, ends_at_x=False, fate=fate)


@st.composite
def boxes(draw: st.DrawFn) -> DrawnBox:
    x, y = draw(st.integers(0, 300)), draw(st.integers(0, 220))
    fate = draw(st.sampled_from(["kept", "moved", "lost", "gained"]))
    return box(x, y, draw(st.integers(0, 320 - x)), draw(st.integers(0, 240 - y)), fate)


def area(drawn: DrawnBox) -> tuple[float, float, float, float]:
    length = CHARACTER * len(drawn.label)
    left = drawn.label_x - length if drawn.ends_at_x else drawn.label_x
    return left, drawn.label_y - LINE + 2, left + length, drawn.label_y + 2


@given(st.lists(boxes(), max_size=30))
def test_labels_do_not_cover_each_other_and_stay_inside(crowd: list[DrawnBox]) -> None:
    placed = placed_labels(crowd, WIDTH, HEIGHT)
    assert [(one.x, one.y) for one in placed] == [(one.x, one.y) for one in crowd]
    assert [one.title for one in placed] == [one.label for one in crowd]
    areas = [area(one) for one in placed if one.label]
    for left, top, right, bottom in areas:
        assert left >= 0
        assert top >= 0
        assert right <= WIDTH + 0.1
        assert bottom <= HEIGHT + 0.1
    for one, other in itertools.combinations(areas, 2):
        apart = one[2] <= other[0] + 0.2 or other[2] <= one[0] + 0.2
        assert apart or one[3] <= other[1] + 0.2 or other[3] <= one[1] + 0.2


def test_where_there_is_room_for_few_the_changed_boxes_are_named() -> None:
    crowd = [box(10, 40, 60, 20) for _ in range(20)] + [box(10, 40, 60, 20, "lost")]
    placed = placed_labels(crowd, 130, 80)
    assert placed[-1].label == "person lost"
    assert sum(not one.label for one in placed) > 10
