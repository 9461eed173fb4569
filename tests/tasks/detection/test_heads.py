"""Every family from end to end: recognised, run on an image by ONNX Runtime, and read to the right boxes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx_heads import BOXES, HEADS, HEIGHT, KINDS, SCORES, WIDTH, yolov7_end_to_end

from calibrant.core.types import ModelSignature
from calibrant.graph.model import load_model, signature_of
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.tasks.detection.families import recognise
from calibrant.tasks.detection.profile import packaged_profiles
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import Category, Detections, DetectionSample, GroundTruth

CATEGORIES = tuple(Category(number + 1, f"class {number}") for number in range(3))
NO_TRUTH = GroundTruth(
    np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.bool_)
)


@pytest.fixture
def image(tmp_path: Path) -> DetectionSample:
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), pixels)
    return DetectionSample("image.png", path, NO_TRUTH)


def found_by(model: Path, signature: ModelSignature, sample: DetectionSample) -> Detections:
    task = DetectionTask(recognise(signature).profile, signature, categories=CATEGORIES, class_map=(0, 1, 2))
    with OnnxRuntime(1).open(model) as session:
        return task.interpret(task.drive(session, sample), sample)


@pytest.mark.parametrize("name", HEADS)
def test_family_finds_the_two_objects(name: str, tmp_path: Path, image: DetectionSample) -> None:
    family, build = HEADS[name]
    path = build().save(tmp_path / "model.onnx")
    signature = signature_of(load_model(path))

    recognition = recognise(signature)
    assert recognition.profile.name == family

    found = found_by(path, signature, image)
    assert found.classes.tolist() == KINDS.tolist()
    np.testing.assert_allclose(found.scores, SCORES, atol=2e-4)
    np.testing.assert_allclose(found.boxes, BOXES, atol=0.02)


def test_every_packaged_family_has_a_head_or_shares_a_decoder_with_one() -> None:
    tried = {family for family, _ in HEADS.values()}
    assert set(packaged_profiles()) - tried == {"yolov7-raw"}  # YOLOv5's maps with other anchors


def test_boxes_come_in_pixels_of_the_original_image(tmp_path: Path) -> None:
    path = yolov7_end_to_end().save(tmp_path / "model.onnx")
    signature = signature_of(load_model(path))
    picture = tmp_path / "large.png"
    cv2.imwrite(str(picture), np.zeros((HEIGHT * 4, WIDTH * 2, 3), np.uint8))  # padded left and right

    found = found_by(path, signature, DetectionSample("large.png", picture, NO_TRUTH))

    expected = (BOXES - [32, 0, 32, 0]) * 4
    np.testing.assert_allclose(found.boxes, expected.clip(0, [256, 384, 256, 384]), atol=1e-3)
