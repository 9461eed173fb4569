"""Third parties' files that nobody had tried: recognised, refused, and agreeing with each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import calibrant
from calibrant.core.errors import ModelError
from calibrant.core.tasks import MODEL
from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import load_model, signature_of
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.tasks.detection.families import recognise
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import Detections
from calibrant.tasks.media.samples import CalibrationSample

FACES = ("000000240250.jpg", "000000242946.jpg", "000000248400.jpg")


def found_in(model: Path, images: list[Path], confidence: float = 0.3) -> list[Detections]:
    """What a model finds, with nothing said against its family."""
    signature = signature_of(load_model(model))
    task = DetectionTask(recognise(signature).profile, signature, class_map=range(100), confidence=confidence)
    samples = [CalibrationSample(image.name, image) for image in images]
    with OnnxRuntime(1).open(model) as session:
        raw = [*task.drive({MODEL: session}, samples)]
        for outputs, sample in zip(raw, samples, strict=True):
            task.check(outputs, sample)
        return [task.interpret(outputs, sample) for outputs, sample in zip(raw, samples, strict=True)]


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union."""
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


@pytest.mark.parametrize(
    ("name", "family", "classes"),
    [
        ("yolox_nano_with_post", "yolox-nms", None),
        ("ultraface-RFB-320", "ssd", 1),
        ("SYNTH_rfdetr_signature", "rfdetr", 91),
        ("blazeface_front128", "blazeface", 1),
        ("yunet_120x160", "yunet", 1),
        ("lightweight_person", "yolox", 1),
    ],
)
def test_they_are_recognised(shared: Path, name: str, family: str, classes: int | None) -> None:
    found = recognise(signature_of(load_model(shared / f"models/other/{name}.onnx")))
    assert (found.profile.name, found.class_count) == (family, classes)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("models/other/road_segmentation.onnx", r"a map as large as the input.*--family.*YAML profile"),
        ("cases/G28-efficientnms-TRT-domain.onnx", r"EfficientNMS_TRT.*export it without TensorRT's NMS"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_on(shared: Path, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        recognise(signature_of(load_model(shared / name)))


@pytest.mark.parametrize("name", ["yunet_120x160", "blazeface_front128"])
def test_three_face_detectors_find_the_same_faces(shared: Path, name: str) -> None:
    images = [shared / "data/coco/val2017" / face for face in FACES]
    by_ultraface = found_in(shared / "models/other/ultraface-RFB-320.onnx", images, 0.9)
    found = found_in(shared / f"models/other/{name}.onnx", images)
    best = [
        max((overlap(ultra.boxes[0], box) for box in other.boxes), default=0.0)
        for ultra, other in zip(by_ultraface, found, strict=True)
    ]
    assert np.median(best) > 0.6


def test_a_yolox_with_nms_inside_finds_its_boxes(shared: Path) -> None:
    images = sorted((shared / "data/coco/val2017").glob("*.jpg"))[:60]
    assert sum(map(len, found_in(shared / "models/other/yolox_nano_with_post.onnx", images))) > 10


def test_a_score_is_not_made_of_outputs_that_are_misread(shared: Path) -> None:
    with pytest.raises(ModelError, match=r"not those of yolox-decoded: .* boxes have a negative size"):
        calibrant.evaluate(
            shared / "models/yolox_nano_416.onnx",
            shared / "data/coco/instances_val2017_300.json",
            family="yolox-decoded",
            limit=4,
        )


def test_a_person_detector_is_scored_on_cocos_persons(shared: Path) -> None:
    found = calibrant.evaluate(
        shared / "models/other/lightweight_person.onnx",
        shared / "data/coco/instances_val2017_300.json",
        classes="person",
        limit=60,
    )
    assert found.figures["map50"] == pytest.approx(59.93, abs=0.3)
