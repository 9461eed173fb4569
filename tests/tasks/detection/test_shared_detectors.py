"""The real detectors: recognised, and scoring on 40 images what they scored when docs/results.md was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrant.core.tasks import MODEL
from calibrant.core.types import ModelSignature
from calibrant.models.onnx.model import load_model, signature_of
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.tasks.detection import DetectionTask, match_categories, open_dataset, recognise

IMAGES = 40
DETECTORS = {
    "fastestdet_352": ("fastestdet", 0.1968),
    "nanodet_m_416": ("nanodet", 0.2563),
    "yolo_fastest_1.1_xl_320": ("yolo-fastest", 0.2183),
    "yolox_nano_416": ("yolox", 0.3206),
}


def signature(model: Path) -> ModelSignature:
    return signature_of(load_model(model))


@pytest.mark.parametrize(
    ("name", "family"),
    [*((name, family) for name, (family, _) in DETECTORS.items()), ("yolov5n_640", "yolov5")],
)
def test_detectors_are_recognised(shared: Path, name: str, family: str) -> None:
    found = recognise(signature(shared / f"models/{name}.onnx"))
    assert (found.profile.name, found.class_count) == (family, 80)


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_score_as_measured(shared: Path, name: str) -> None:
    model = shared / f"models/{name}.onnx"
    dataset = open_dataset(shared / "data/coco/instances_val2017_300.json", limit=IMAGES)
    found = recognise(signature(model))
    task = DetectionTask(
        found.profile,
        signature(model),
        categories=dataset.categories,
        class_map=match_categories(dataset.categories, 80, found.class_names),
    )
    with OnnxRuntime(1).open(model) as session:
        detections = [task.interpret(task.drive({MODEL: session}, [s])[0], s) for s in dataset.samples]
    assert task.score(dataset.samples, detections).value == pytest.approx(DETECTORS[name][1], abs=0.003)
