"""What reports show of recognizers, classifiers and models without a task."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from calibrant.reports.html.blocks import Photos, Section, Table
from calibrant.reports.html.page import Page, page_html
from calibrant.reports.tasks import difference_lines, task_sections
from calibrant.tasks.classification.differences import (
    ClassAccuracy,
    ClassificationDifferences,
    Flip,
    ImageChange,
)
from calibrant.tasks.outputs.differences import OutputDifference, OutputsDifferences, SampleDifference
from calibrant.tasks.recognition.differences import (
    Confusion,
    GroupErrors,
    LineDifference,
    RecognitionDifferences,
)
from calibrant.tasks.semantic.differences import (
    ClassIou,
    MapDifference,
    Segment,
    SemanticDifferences,
)
from calibrant.tasks.semantic.differences import Flip as PixelFlip
from calibrant.tasks.text_detection.differences import (
    DrawnOutline,
    GroupRecall,
    PageDifference,
    TextDetectionDifferences,
)

OUTLINE = DrawnOutline(((2.0, 4.0), (62.0, 8.0), (60.0, 28.0), (0.0, 24.0)), 0.8, "lost")
NEW = replace(OUTLINE, fate="gained")
FOUND: dict[str, Any] = {
    "recognition": RecognitionDifferences(
        "minmax", 9, 8, 6, 3, 2, 0,
        (GroupErrors("characters", "digits", 20, 1.0, 5.0), GroupErrors("length", "1 to 5", 20, 1.0, 5.0)),
        (Confusion("0", "O", 1, 4),),
        (LineDifference("a.png", "gone/a.png", "10", "10", "1O", 0, 1),),
    ),
    "classification": ClassificationDifferences(
        "minmax", 9, 1, 1, 0, 0.1, (ClassAccuracy("ant", 9, 100.0, 88.9),), (Flip("ant", "ant", "bee", 1),),
        (ImageChange("a.png", "gone/a.png", "ant", "ant", "bee", 0.9, 0.5),),
    ),
    "text_detection": TextDetectionDifferences(
        "minmax", 9, 5, 1, 1, 1, 0.95, (GroupRecall("16 to 32 pixels", 9, 90.0, 80.0),),
        (PageDifference("a.png", "gone/a.png", 0.4, 1, 1, 0, (OUTLINE,), (NEW,)),),
    ),
    "semantic": SemanticDifferences(
        "minmax", 9, 3.0, 2.0, 1.0, (ClassIou("road", 40.0, 90.0, 80.0),), (PixelFlip("road", "sky", 2.0),),
        (MapDifference("a.png", "gone/a.png", 9.0, (Segment(OUTLINE.corners, "road", "lost"),),
                       (Segment(OUTLINE.corners, "sky", "gained"),)),),
    ),
    "outputs": OutputsDifferences(
        "minmax", 9, (OutputDifference("y", 2.0, 34.0, "a[0]", 3.0, 99.0),), (SampleDifference("a[0]", 3.0),)
    ),
}  # fmt: skip


@pytest.mark.parametrize("task", FOUND)
def test_a_task_tells_what_changed_in_tables_and_pictures(task: str) -> None:
    material: Any = SimpleNamespace(diagnosis=SimpleNamespace(differences=(FOUND[task],)), winning="minmax")
    sections = [make(material) for make in task_sections(task)]
    blocks = [block for section in sections if section for block in section.blocks]
    assert any(isinstance(block, Table) and block.rows for block in blocks)
    photos = [block for block in blocks if isinstance(block, Photos)]
    assert bool(photos) == (task != "outputs")
    assert all(photo.source is None and photo.fp32 for block in photos for photo in block.photos)
    assert FOUND[task].sentence() in " ".join(difference_lines(task, FOUND[task]))


@pytest.mark.parametrize("task", FOUND)
def test_without_a_diagnosis_nothing_is_told(task: str) -> None:
    material: Any = SimpleNamespace(diagnosis=None, winning=None)
    assert [make(material) for make in task_sections(task)] == [None] * len(task_sections(task))


def test_outlines_are_drawn_by_their_corners() -> None:
    material: Any = SimpleNamespace(
        diagnosis=SimpleNamespace(differences=(FOUND["text_detection"],)), winning="minmax"
    )
    (photos,) = (
        block
        for make in task_sections("text_detection")
        for block in getattr(make(material), "blocks", ())
        if isinstance(block, Photos)
    )
    (lost,), (new,) = photos.photos[0].fp32, photos.photos[0].int8
    assert lost.points == "2,4 62,8 60,28 0,24"
    assert (lost.label, new.label) == ("lost", "new")
    page = Page("k", "t", (), "h", (), (), (Section("images", "Images", (photos,)),), "f", "c")
    drawn = page_html(page)
    assert '<polygon class="line" points="2,4 62,8 60,28 0,24"/>' in drawn
    assert "<rect class=" not in drawn
