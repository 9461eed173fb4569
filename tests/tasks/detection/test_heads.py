"""Every family from end to end: recognised, run on an image by ONNX Runtime, and read to the right boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import onnx_grid_heads as grids
import onnx_list_heads as lists
import onnx_other_heads as others
import pytest
from onnx_heads import BOXES, HEIGHT, KINDS, SCORES, WIDTH, Head

from calibrant.core.errors import ModelError
from calibrant.core.tasks import MODEL
from calibrant.core.types import ModelSignature
from calibrant.models.onnx.model import load_model, signature_of
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.tasks.detection.families import recognise
from calibrant.tasks.detection.profile import family_named, packaged_profiles
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import Category, Detections, DetectionSample, GroundTruth

CATEGORIES = tuple(Category(number + 1, f"class {number}") for number in range(3))
NO_TRUTH = GroundTruth(
    np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.bool_)
)


HEADS: Mapping[str, tuple[str, Callable[[], Head]]] = {
    "YOLOv5": ("yolov5", grids.yolov5),
    "YOLOv5 raw": ("yolov5-raw", grids.yolov5_raw),
    "YOLOv5 maps": ("yolov5-raw", grids.yolov5_maps),
    "YOLOv6": ("yolov6", grids.yolov6),
    "YOLOv7 end to end": ("yolov7-end2end", lists.yolov7_end_to_end),
    "YOLOv8": ("yolov8", grids.yolov8),
    "YOLOv10": ("yolov10", lists.yolov10),
    "YOLOX": ("yolox", grids.yolox),
    "YOLOX decoded": ("yolox-decoded", grids.yolox_decoded),
    "YOLO-Fastest": ("yolo-fastest", grids.yolo_fastest),
    "FastestDet": ("fastestdet", grids.fastestdet),
    "NanoDet": ("nanodet", grids.nanodet),
    "NanoDet-Plus": ("nanodet-plus", grids.nanodet_plus),
    "RT-DETR": ("rtdetr", lists.rtdetr),
    "RT-DETR logits": ("rtdetr-logits", lists.rtdetr_logits),
    "RT-DETR Ultralytics": ("rtdetr-ultralytics", lists.rtdetr_ultralytics),
    "DETR": ("detr", lists.detr),
    "EfficientNMS": ("efficientnms", lists.efficientnms),
    "ONNX NMS": ("yolov10", lists.onnx_nms),
    "YOLOX with NMS": ("yolox-nms", others.yolox_nms),
    "SSD": ("ssd", others.ssd),
    "RF-DETR": ("rfdetr", others.rfdetr),
    "mmdeploy": ("mmdeploy", others.mmdeploy),
    "PaddleDetection": ("paddle", others.paddle),
    "PicoDet": ("picodet", others.picodet),
    "RTMDet": ("rtmdet", others.rtmdet),
    "CenterNet": ("centernet", others.centernet),
    "CenterNet with sigmoid": ("centernet-sigmoid", others.centernet_with_sigmoid),
    "TensorFlow": ("tf-detection", others.tensorflow),
    "YOLOv3 raw": ("yolov3-raw", others.yolov3_raw),
    "YOLOv4 raw": ("yolov4-raw", others.yolov4_raw),
}
FACES = {"blazeface", "yunet", "retinaface", "scrfd"}
"""Held against prior boxes and points of their own in test_priors and test_points."""


@pytest.fixture
def image(tmp_path: Path) -> DetectionSample:
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), pixels)
    return DetectionSample("image.png", path, NO_TRUTH)


def found_by(model: Path, signature: ModelSignature, sample: DetectionSample) -> Detections:
    task = DetectionTask(recognise(signature).profile, signature, categories=CATEGORIES, class_map=(0, 1, 2))
    with OnnxRuntime(1).open(model) as session:
        return task.interpret(task.drive({MODEL: session}, [sample])[0], sample)


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
    by_metadata = {"rtdetr-end2end"}
    other_anchors = {"yolov7-raw", "yolov3-tiny-raw"}
    assert set(packaged_profiles()) - tried == other_anchors | by_metadata | FACES


def test_an_rtdetr_is_known_by_its_metadata(tmp_path: Path, image: DetectionSample) -> None:
    notes = {"description": "Ultralytics RTDETR-l model trained on coco.yaml", "version": "8.4.12"}
    path = others.rtdetr_end_to_end().save(tmp_path / "model.onnx", notes)
    signature = signature_of(load_model(path))
    found = recognise(signature)
    assert found.profile.name == "rtdetr-end2end"
    assert found.why.startswith("RTDETR-l (Ultralytics 8.4), read as rtdetr-end2end; ")
    np.testing.assert_allclose(found_by(path, signature, image).boxes, BOXES, atol=0.02)


@pytest.mark.parametrize("name", HEADS)
def test_nothing_speaks_against_the_right_family(name: str, tmp_path: Path, image: DetectionSample) -> None:
    path = HEADS[name][1]().save(tmp_path / "model.onnx")
    signature = signature_of(load_model(path))
    task = DetectionTask(recognise(signature).profile, signature)
    with OnnxRuntime(1).open(path) as session:
        task.check(task.drive({MODEL: session}, [image])[0], image)


WRONG = {
    "PINTO's rows as YOLOv7's": (others.yolox_nms, "yolov7-end2end", "no probabilities|no corners"),
    "SSD as RT-DETR": (others.ssd, "rtdetr-logits", "probabilities already"),
    "RT-DETR as YOLOv10": (others.rtdetr_end_to_end, "yolov10", "fractions of the image, not pixels"),
    "YOLOX as decoded": (grids.yolox, "yolox-decoded", "negative size|fractions"),
    "YOLOX decoded as raw": (grids.yolox_decoded, "yolox", "so boxes are decoded"),
    "RT-DETR Ultralytics as YOLO's rows": (lists.rtdetr_ultralytics, "yolov5", "fractions|negative"),
    "RT-DETR with softmax inside": (others.ssd, "detr", "probabilities already"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_family_is_refused_by_what_the_outputs_hold(
    name: str, tmp_path: Path, image: DetectionSample
) -> None:
    build, family, fact = WRONG[name]
    path = build().save(tmp_path / "model.onnx")
    signature = signature_of(load_model(path))
    task = DetectionTask(family_named(family), signature)
    with OnnxRuntime(1).open(path) as session:
        raw = task.drive({MODEL: session}, [image])[0]
    with pytest.raises(
        ModelError, match=rf"not those of {family}: .*({fact}).* name another --family"
    ) as found:
        task.check(raw, image)
    assert "\n" not in str(found.value)


def test_boxes_come_in_pixels_of_the_original_image(tmp_path: Path) -> None:
    path = lists.yolov7_end_to_end().save(tmp_path / "model.onnx")
    signature = signature_of(load_model(path))
    picture = tmp_path / "large.png"
    cv2.imwrite(str(picture), np.zeros((HEIGHT * 4, WIDTH * 2, 3), np.uint8))  # padded left and right

    found = found_by(path, signature, DetectionSample("large.png", picture, NO_TRUTH))

    expected = (BOXES - [32, 0, 32, 0]) * 4
    np.testing.assert_allclose(found.boxes, expected.clip(0, [256, 384, 256, 384]), atol=1e-3)
