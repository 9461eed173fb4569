"""The detection task: what it feeds, what it keeps, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ImageError, ModelError
from calibrant.core.tasks import MODEL
from calibrant.core.types import Feeds, ModelSignature, TensorInfo
from calibrant.tasks.detection.preprocess import prepare
from calibrant.tasks.detection.profile import family_named
from calibrant.tasks.detection.task import DetectionTask, RawOutputs
from calibrant.tasks.detection.types import Category, DetectionSample, GroundTruth
from calibrant.tasks.media.samples import CalibrationSample

YOLOV5 = family_named("yolov5")
SIGNATURE = ModelSignature(
    inputs=(TensorInfo("images", (1, 3, 64, 64), "float32"),),
    outputs=(TensorInfo("output0", (1, 252, 8), "float32"),),
    op_counts={},
    tail_ops={},
)
CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))


class Answering:
    """A session that answers with the same outputs, and remembers what it was fed."""

    def __init__(self, *rows: list[float]) -> None:
        table = np.zeros((1, 252, 8), np.float32)
        table[0, : len(rows)] = np.reshape(rows, (-1, 8))
        self._outputs, self.fed = {"output0": table}, list[Feeds]()

    def run(self, feeds: Feeds) -> Feeds:
        self.fed.append(feeds)
        return self._outputs

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None: ...


def driven(task: DetectionTask, session: Any, sample: DetectionSample | CalibrationSample) -> RawOutputs:
    return task.drive({MODEL: session}, [sample])[0]


def task(**settings: Any) -> DetectionTask:
    return DetectionTask(YOLOV5, SIGNATURE, **{"categories": CATEGORIES, "class_map": (0, 1, 2), **settings})


@pytest.fixture
def sample(tmp_path: Path) -> DetectionSample:
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.full((64, 64, 3), 50, np.uint8))
    truth = GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_))
    return DetectionSample("image.png", path, truth)


def row(x: float, confidence: float, *classes: float, size: float = 8) -> list[float]:
    return [x, 32, size, size, confidence, *classes]


def test_an_image_is_fed_as_the_profile_prepares_it(sample: DetectionSample) -> None:
    session = Answering()
    driven(task(), session, sample)
    expected, _ = prepare(np.full((64, 64, 3), 50, np.uint8), YOLOV5.input, 64, 64)
    np.testing.assert_array_equal(session.fed[0]["images"], expected)


def test_a_ready_array_is_fed_as_it_is() -> None:
    array = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    session = Answering()
    raw = driven(task(categories=(), class_map=()), session, CalibrationSample("0", array=array))
    np.testing.assert_array_equal(session.fed[0]["images"], array)
    assert raw.placement is None


@pytest.mark.parametrize("shape", [(1, 3, 32, 64), (3, 64, 64), (1, 64, 64, 3)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    array: NDArray[np.float32] = np.zeros(shape, np.float32)
    with pytest.raises(DataError, match=r"'0'.*the model takes 1x3x64x64"):
        driven(task(), Answering(), CalibrationSample("0", array=array))


def test_a_sample_without_image_or_array_is_refused() -> None:
    with pytest.raises(DataError, match="neither image nor array"):
        driven(task(), Answering(), CalibrationSample("0"))


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        driven(task(), Answering(), CalibrationSample("0", path=tmp_path / "gone.jpg"))


def test_classes_are_the_data_sets_and_unlabelled_ones_make_no_detection(sample: DetectionSample) -> None:
    session = Answering(row(10, 0.9, 1, 0, 0), row(30, 0.8, 0, 1, 0), row(50, 0.7, 0, 0, 1))
    mapped = task(class_map=(2, -1, 0))
    found = mapped.interpret(driven(mapped, session, sample), sample)
    assert found.classes.tolist() == [2, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_boxes_that_are_no_numbers_are_left_out(sample: DetectionSample) -> None:
    session = Answering(row(np.nan, 0.9, 1, 0, 0), row(30, 0.8, 1, 0, 0), row(50, np.nan, 1, 0, 0))
    found = task().interpret(driven(task(), session, sample), sample)
    assert found.boxes.tolist() == [[26, 28, 34, 36]]


def test_settings_decide_what_is_kept(sample: DetectionSample) -> None:
    session = Answering(row(30, 0.9, 1, 0, 0), row(32, 0.8, 1, 0, 0), row(50, 0.3, 1, 0, 0))

    def count(**settings: Any) -> int:
        chosen = task(**settings)
        return len(chosen.interpret(driven(chosen, session, sample), sample))

    assert count() == 3  # the first two overlap by 0.6
    assert count(iou=0.5) == 2
    assert count(confidence=0.5) == 2
    assert count(max_detections=1) == 1


@pytest.mark.parametrize("first_look", [1, 20, 100, 500])
@pytest.mark.parametrize("max_detections", [3, 40, 300])
def test_looking_at_the_best_candidates_first_changes_nothing(
    sample: DetectionSample, monkeypatch: pytest.MonkeyPatch, first_look: int, max_detections: int
) -> None:
    random = np.random.default_rng(first_look + max_detections)
    table = random.uniform(0, 64, (252, 8))
    table[:, 4:] = np.round(random.uniform(0, 1, (252, 4)), 1)  # many equal scores
    session = Answering(*table.tolist())
    chosen = task(class_map=(0, -1, 1), max_detections=max_detections)
    raw = driven(chosen, session, sample)

    def found(looked_at: int) -> list[tuple[float, ...]]:
        monkeypatch.setattr("calibrant.tasks.detection.task._FIRST_LOOK", looked_at)
        detections = chosen.interpret(raw, sample)
        rows = (detections.boxes.tolist(), detections.scores.tolist(), detections.classes.tolist())
        return [(*box, score, kind) for box, score, kind in zip(*rows, strict=True)]

    assert found(first_look) == found(10_000) != []


def test_a_bare_array_has_no_boxes(sample: DetectionSample) -> None:
    array = np.zeros((1, 3, 64, 64), np.float32)
    raw = driven(task(), Answering(), CalibrationSample("0", array=array))
    with pytest.raises(DataError, match="bare array"):
        task().interpret(raw, sample)


def test_an_open_input_takes_its_size_from_imgsz(sample: DetectionSample) -> None:
    signature = ModelSignature(
        inputs=(TensorInfo("images", (None, 3, None, None), "float32"),),
        outputs=SIGNATURE.outputs,
        op_counts={},
        tail_ops={},
    )
    session = Answering()
    driven(DetectionTask(YOLOV5, signature, imgsz=(32, 96)), session, sample)
    assert session.fed[0]["images"].shape == (1, 3, 32, 96)
    with pytest.raises(ModelError, match="--imgsz"):
        DetectionTask(YOLOV5, signature)
