"""Text detection as a task: what it recognises, reads, scores and tells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.tasks import MODEL, Evaluated, Reading
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.reports.tasks.text_detection import difference_lines
from calibrant.tasks.media.pages import PageSample, Region
from calibrant.tasks.text_detection import TextDetectionDefinition
from calibrant.tasks.text_detection.definition import TextDetectionOptions
from calibrant.tasks.text_detection.outlines import grown, outlines_in, smallest_rectangle
from calibrant.tasks.text_detection.profile import FAMILIES, prepared
from calibrant.tasks.text_detection.task import TextDetectionTask
from calibrant.tasks.text_detection.types import Outlines, no_outlines
from calibrant.testing import TaskConformance
from label_files import write_image

DEFINITION = TextDetectionDefinition()
HEAD = {"ConvTranspose": 2, "Sigmoid": 1, "Conv": 60}


def _signature(
    image: tuple[int | None, ...] = (None, 3, None, None),
    output: tuple[int | None, ...] = (None, 1, None, None),
    operators: Mapping[str, int] = HEAD,
) -> ModelSignature:
    return ModelSignature(
        (TensorInfo("x", image, "float32"),), (TensorInfo("map", output, "float32"),), operators, {}, {}
    )


def _task(family: str = "auto", **options: Any) -> TextDetectionTask:
    signature = _signature()
    found = DEFINITION.recognise(signature, family)
    assert found is not None
    return DEFINITION.bind({MODEL: signature}, found, TextDetectionOptions(**options))


def _rectangle(left: float, top: float, right: float, bottom: float) -> NDArray[np.float32]:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def _outlines(*rectangles: NDArray[np.float32], score: float = 0.9) -> Outlines:
    return Outlines(np.stack(rectangles), np.full(len(rectangles), score)) if rectangles else no_outlines()


def _page(*regions: tuple[NDArray[np.float32], bool], name: str = "a") -> PageSample:
    return PageSample(name, Path(name), tuple(Region(outline, "t", ignored) for outline, ignored in regions))


def _turned(
    rng: np.random.Generator,
    middles: tuple[float, float],
    widths: tuple[float, float],
    heights: tuple[float, float],
) -> NDArray[np.float32]:
    """A rectangle anywhere, turned by any angle."""
    x, y = (float(rng.uniform(*middles)) for _ in range(2))
    size = float(rng.uniform(*widths)), float(rng.uniform(*heights))
    return np.asarray(cv2.boxPoints(((x, y), size, float(rng.uniform(-90, 90)))), np.float32)


ONE, TWO, THREE = (_rectangle(0, top, 100, top + 20) for top in (0, 40, 80))


@pytest.mark.parametrize(
    ("signature", "is_one"),
    [
        (_signature(), True),
        (_signature(output=()), True),  # PP-OCRv5 in a wheel
        (_signature(output=(None, None, None, None)), True),  # PP-OCRv6
        (_signature((1, 3, 640, 640), (1, 1, 640, 640)), True),
        (_signature(operators={"Conv": 60, "Sigmoid": 1}), False),
        (_signature(operators={**HEAD, "Softmax": 2}), False),
        (_signature((1, 3, 640, 640), (1, 1, 160, 160)), False),
        (_signature((1, 3, 640, 640), (1, 21, 640, 640)), False),
        (_signature((1, 3, 500, 500), (1, 1, 500, 500)), False),
        (_signature((1, 1, None, None)), False),
    ],
)
def test_a_detector_is_told_by_its_map_and_its_head(signature: ModelSignature, is_one: bool) -> None:
    assert (DEFINITION.recognise(signature) is not None) == is_one


def test_a_family_that_is_named_is_believed_or_refused() -> None:
    assert DEFINITION.recognise(_signature(operators={}), "rapidocr") is not None
    assert DEFINITION.recognise(_signature(), "yolov8") is None
    with pytest.raises(ModelError, match="gives one map"):
        DEFINITION.recognise(_signature(output=(1, 84, 8400)), "paddleocr")


@pytest.mark.parametrize(
    ("family", "size", "sides"),
    [
        ("paddleocr", (1920, 1080), (960, 544)),
        ("paddleocr", (500, 333), (512, 320)),  # the nearest multiples; nothing is enlarged
        ("rapidocr", (500, 333), (1120, 736)),
        ("rapidocr", (1600, 900), (1600, 896)),
        ("paddleocr", (8, 700), (32, 704)),
    ],
)
def test_sides_are_limited_and_multiples_of_32(
    family: str, size: tuple[int, int], sides: tuple[int, int]
) -> None:
    assert FAMILIES[family].sides(*size) == sides


def test_an_image_is_normalized_in_bgr() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 255
    tensor = prepared(image, FAMILIES["paddleocr"], (32, 32))
    assert tensor.shape == (1, 3, 32, 32)
    assert tensor[0, :, 5, 5] == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_a_map_is_read_as_rectangles_that_grow() -> None:
    """A bar of 60 x 10 pixels: its outline is 59 x 9 and grows by 1.5 x 59 x 9 / (2 x 68) = 5.9 pixels."""
    scores = np.zeros((64, 128), np.float32)
    scores[20:30, 30:90] = 0.8
    scores[40:43, 10:100] = 0.8  # too thin
    scores[50:60, 30:90] = 0.4  # too improbable
    found = outlines_in(scores, FAMILIES["paddleocr"], (128, 256))
    assert found.corners[0].tolist() == [[48, 28], [190, 28], [190, 70], [48, 70]]
    assert found.scores == pytest.approx([0.8])
    assert len(outlines_in(scores, FAMILIES["rapidocr"], (64, 128))) == 2  # it grows thin text, too
    assert not len(outlines_in(scores * 0, FAMILIES["rapidocr"], (64, 128)))


def test_outlines_are_rapidocrs_own_on_any_map() -> None:
    """RapidOCR 3.10.0's own post-processing, to the bit, on smooth noise with turned bars."""
    reference = pytest.importorskip("rapidocr.ch_ppocr_det.utils", reason="calibrant[demo-text]")
    clipper = pytest.importorskip("pyclipper")
    post = reference.DBPostProcess(
        thresh=0.3, box_thresh=0.5, max_candidates=1000, unclip_ratio=1.6, use_dilation=True
    )
    rng, seen = np.random.default_rng(0), 0
    for _ in range(12):
        scores = cv2.GaussianBlur(rng.uniform(0, 0.5, (192, 256)).astype(np.float32), (0, 0), 2)
        for _ in range(6):
            box = _turned(rng, (20, 230), (10, 90), (4, 24))
            cv2.fillPoly(scores, [box.astype(np.int32)], [float(rng.uniform(0.4, 1))])
        boxes, values = post(scores[None, None], (300, 411))
        found = outlines_in(scores, FAMILIES["rapidocr"], (300, 411))
        assert np.array_equal(np.array(boxes).reshape(-1, 4, 2), found.corners)
        assert np.array_equal(values, found.scores)
        seen += len(found)
    assert seen > 25
    for _ in range(50):
        corners, _ = smallest_rectangle(_turned(rng, (50, 99), (3, 60), (3, 60)))
        offset = clipper.PyclipperOffset()
        offset.AddPath(corners, clipper.JT_ROUND, clipper.ET_CLOSEDPOLYGON)
        around = cv2.contourArea(corners)
        theirs = np.array(offset.Execute(around * 1.6 / cv2.arcLength(corners, True))).reshape(-1, 1, 2)
        ours = smallest_rectangle(grown(corners, 1.6))[0]
        assert ours == pytest.approx(smallest_rectangle(theirs.astype(np.int32))[0], abs=1e-3)


def test_hmean_by_hand() -> None:
    """Two of three regions, one of them by two outlines, of which one counts as wrong: 2 x 2 / (3 + 3)."""
    pages = [_page((ONE, False), (TWO, False)), _page((THREE, False))]
    found = [_outlines(ONE, ONE + np.float32(1), TWO), _outlines()]
    score = _task().score(pages, found)
    assert score.value == pytest.approx(4 / 6)
    assert score.figure("precision") == pytest.approx(100 * 2 / 3, abs=1e-3)
    assert score.figure("recall") == pytest.approx(100 * 2 / 3, abs=1e-3)
    weights = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    assert score.evidence.resample(weights)[:3] == pytest.approx([4 / 6, 4 / 5, 0])
    assert np.isnan(score.evidence.resample(weights)[3])


def test_half_is_not_enough_and_what_is_ignored_counts_neither_way() -> None:
    task = _task()
    assert task.score([_page((ONE, False))], [_outlines(_rectangle(0, 0, 50, 20))]).value == 0
    assert task.score([_page((ONE, False))], [_outlines(_rectangle(0, 0, 51, 20))]).value == 1
    ignored = _page((ONE, False), (TWO, True))
    assert task.score([ignored], [_outlines(ONE, TWO)]).value == 1
    assert task.score([ignored], [_outlines(ONE)]).value == 1
    half_on = _rectangle(0, 50, 100, 70)  # half of it lies on what is ignored: it counts
    assert task.score([ignored], [_outlines(ONE, half_on)]).value == pytest.approx(2 / 3)


def _evaluated_by_icdar(
    regions: Sequence[Region], found: Sequence[NDArray[np.float32]], shapely: Any
) -> tuple[int, int, int]:
    """Counts as PaddleOCR's eval_det_iou.py describes them, on shapely's polygons."""
    labels = [(shapely.Polygon(one.outline), one.is_ignored) for one in regions]
    labels = [label for label in labels if label[0].is_valid]
    outlines = [outline for outline in map(shapely.Polygon, found) if outline.is_valid]
    free = [
        not any(
            ignored and outline.intersection(label).area / outline.area > 0.5 for label, ignored in labels
        )
        for outline in outlines
    ]
    taken: set[int] = set()
    for label, ignored in labels:
        for index, outline in enumerate(outlines):
            if ignored or index in taken or not free[index]:
                continue
            if label.intersection(outline).area / label.union(outline).area > 0.5:
                taken.add(index)
                break
    return sum(not ignored for _, ignored in labels), sum(free), len(taken)


def test_counts_are_the_evaluators_on_any_outlines() -> None:
    shapely = pytest.importorskip("shapely.geometry", reason="comes with calibrant[demo-text]")
    rng, right = np.random.default_rng(1), 0
    for _ in range(40):
        regions = []
        for _ in range(int(rng.integers(1, 6))):
            box = _turned(rng, (20, 80), (10, 50), (10, 50))
            regions.append(Region(box, "t", bool(rng.random() < 0.2)))
        moved = [one.outline + rng.normal(0, 3, (4, 2)).astype(np.float32) for one in regions]
        moved += [rng.uniform(0, 100, (4, 2)).astype(np.float32) for _ in range(2)]
        found = Outlines(np.stack(moved), np.ones(len(moved)))
        evidence = _task().evidence([PageSample("a", Path("a"), tuple(regions))], [found])
        ours = [int(count[0]) for count in (evidence.wanted, evidence.found, evidence.right)]
        assert tuple(ours) == _evaluated_by_icdar(regions, moved, shapely)
        right += ours[2]
    assert right > 40


class _Session:
    """Gives the same map, whatever the image, or one of the image's size."""

    def __init__(self, scores: NDArray[np.float32] | None = None) -> None:
        self.scores = scores

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        sides = feeds["x"].shape[2:]
        return {
            "map": np.zeros((1, 1, *sides), np.float32) if self.scores is None else self.scores[None, None]
        }


def test_an_image_goes_in_and_its_outlines_come_out(tmp_path: Path) -> None:
    sample = PageSample("a", write_image(tmp_path / "a.png", 256, 128), ())
    scores = np.zeros((128, 256), np.float32)
    scores[40:60, 60:180] = 0.8
    task = _task()
    raw = task.drive({MODEL: _Session(scores)}, [sample])[0]  # type: ignore[dict-item]
    task.check(raw, sample)
    found = task.interpret(raw, sample)
    assert len(found) == 1
    assert task.unpack(task.pack([found, no_outlines()]))[0].corners.tolist() == found.corners.tolist()
    told, picture = task.picture(raw, sample) or ("", b"")
    assert told == "1 outlines of text"
    assert picture.startswith(b"\x89PNG")
    assert task.memory(sample) == 128 * 256 * 40
    with pytest.raises(ModelError, match="gives probabilities"):
        task.check({"map": raw["map"] * 3}, sample)
    with pytest.raises(ModelError, match="one probability a pixel"):
        task.check({"map": raw["map"][:, :, ::2]}, sample)
    with pytest.raises(ModelError, match="gives one map"):
        task.interpret({"map": raw["map"][0]}, sample)


def test_differences_tell_what_is_lost_moved_and_new() -> None:
    pages = [_page((ONE, False), (TWO, False)), _page((THREE, False), name="b")]
    before = [_outlines(ONE, TWO), _outlines(THREE)]
    after = [_outlines(ONE, _rectangle(0, 200, 100, 220)), _outlines(THREE + np.float32(4))]
    task = _task()
    told = task.differences(
        "entropy2",
        pages,
        Evaluated(before, task.score(pages, before)),
        Evaluated(after, task.score(pages, after)),
    )
    assert (told.kept, told.moved, told.lost, told.gained) == (1, 1, 1, 1)
    assert told.worst_images[0].image == "a"
    assert {one.fate for one in told.worst_images[0].candidate} == {"kept", "gained"}
    assert (told.groups[0].name, told.groups[0].regions) == ("16 to 32 pixels", 3)
    assert told.groups[0].candidate == pytest.approx(100 * 2 / 3, abs=1e-3)
    assert any("1 are lost and 1 moved" in line for line in difference_lines(told))


def test_agreement_counts_overlaps_and_scores() -> None:
    task = _task()
    assert task.agreement([_outlines(ONE)], [_outlines(ONE, score=0.9)]) == 1
    assert task.agreement([_outlines(ONE, TWO)], [_outlines(ONE)]) == pytest.approx(2 / 3)
    assert task.agreement([_outlines()], [_outlines()]) == 1


def test_test_sets_and_calibration_images_are_opened(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, 64, 64, shade=ord(name[0]))
    rows = [[{"transcription": text, "points": ONE.tolist()}] for text in ("x", "###")]
    lines = [f"{name}\t{json.dumps(row)}\n" for name, row in zip(("a.png", "b.png"), rows, strict=True)]
    (tmp_path / "Label.txt").write_text("".join(lines), encoding="utf-8")
    found = DEFINITION.recognise(_signature())
    assert found is not None
    options = TextDetectionOptions(unclip=2.0)
    test = DEFINITION.open_test(str(tmp_path), found, options, Reading())
    assert test.facts == {"regions": 1}
    other = DEFINITION.open_test(str(tmp_path), found, TextDetectionOptions(), Reading())
    assert (test.truth_sha256 == other.truth_sha256, test.content_sha256 == other.content_sha256) == (
        True,
        False,
    )
    for source in (tmp_path, tmp_path / "Label.txt"):
        calibration = DEFINITION.open_calibration(str(source), found, options, Reading(limit=1))
        assert len(calibration.samples) == 1
        assert DEFINITION.in_both(calibration, test)
    look = _task().describe(test.samples[0])
    assert look is not None
    assert look.features["height", "16 to 32 pixels"] == 1


class TestConformance(TaskConformance):
    task = _task()
    best, worst = 1.0, 0.0

    def samples(self) -> Sequence[PageSample]:
        return [_page((ONE, False), (TWO, False)), _page((THREE, False)), _page((ONE, False), (TWO, True))]

    def perfect(self, sample: PageSample) -> Outlines:
        return _outlines(*(region.outline for region in sample.regions if not region.is_ignored))

    def nothing(self, sample: PageSample) -> Outlines:
        return no_outlines()
