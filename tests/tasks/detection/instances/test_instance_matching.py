"""Masks, keypoints and boxes score as pycocotools scores them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from calibrant.tasks.detection.instances.keypoints import Keypoints
from calibrant.tasks.detection.instances.labels import open_instances
from calibrant.tasks.detection.instances.masks import Mask, Masks
from calibrant.tasks.detection.instances.matching import match_table, mean_precision
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.types import GroundTruth
from label_files import write_image

SIDE, CLASSES, POINTS = 48, 3, 17


def annotation(rng: np.random.Generator, image: int, number: int) -> dict[str, Any]:
    x, y = rng.uniform(0, SIDE - 16, 2)
    w, h = rng.uniform(6, 16, 2)
    polygon = [x, y, x + w, y + rng.uniform(0, 3), x + w - 1, y + h, x + 1, y + h - 1]
    points = np.stack(
        [rng.uniform(x, x + w, POINTS), rng.uniform(y, y + h, POINTS), rng.integers(0, 3, POINTS)], axis=1
    )
    if number % 7 == 3:
        points[:, 2] = 0
    is_crowd = int(number % 9 == 4)
    told: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": int(rng.integers(1, CLASSES + 1)),
        "iscrowd": is_crowd,
        "bbox": [x, y, w, h],
        "area": 0.8 * w * h,
        "keypoints": points.ravel().tolist(),
        "num_keypoints": int((points[:, 2] > 0).sum()),
        "segmentation": [polygon],
    }
    if is_crowd:
        runs = coco_mask.frPyObjects([polygon], SIDE, SIDE)[0]
        told["segmentation"] = {"size": [SIDE, SIDE], "counts": runs["counts"].decode()}
    return told


def data_set(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Annotations, and results near them and elsewhere."""
    rng = np.random.default_rng(seed)
    labels = [
        annotation(rng, image, 10 * image + k + 1) for image in range(6) for k in range(rng.integers(1, 6))
    ]
    results = []
    for label in labels:
        for _ in range(rng.integers(0, 3)):
            near = dict(label)
            shift = rng.normal(0, 1.5, 2)
            box = label["bbox"]
            near["bbox"] = [box[0] + shift[0], box[1] + shift[1], box[2], box[3]]
            x, y, w, h = near["bbox"]
            near["polygon"] = [x, y, x + w, y, x + w, y + h, x, y + h]
            points = np.reshape(label["keypoints"], (-1, 3)) + np.array([*shift, 0])
            near["keypoints"] = points.ravel().tolist()
            near["score"] = float(np.float32(rng.uniform()))
            near["category_id"] = label["category_id"] if rng.uniform() < 0.9 else 1
            results.append(near)
    return labels, results


def expected(labels: list[dict[str, Any]], results: list[dict[str, Any]], kind: str) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image, "width": SIDE, "height": SIDE} for image in range(6)],
            "annotations": [dict(label) for label in labels],
            "categories": [{"id": index + 1, "name": str(index)} for index in range(CLASSES)],
        }
        truth.createIndex()
        rows = [
            {"image_id": found["image_id"], "category_id": found["category_id"], "score": found["score"]}
            | (
                {"segmentation": coco_mask.frPyObjects([found["polygon"]], SIDE, SIDE)[0]}
                if kind == "segm"
                else {}
            )
            | ({"keypoints": found["keypoints"]} if kind == "keypoints" else {})
            | ({"bbox": found["bbox"]} if kind == "bbox" else {})
            for found in results
        ]
        evaluation = COCOeval(truth, truth.loadRes(rows), kind)
        if kind == "keypoints":
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: NDArray[Any] = evaluation.eval["precision"][:, :, :, 0, -1]
    return float(precision[precision > -1].mean())


def sample_of(image: int, labels: list[dict[str, Any]], kind: Any) -> InstanceSample:
    mine = [label for label in labels if label["image_id"] == image]
    told = [kind.of_record(label, SIDE, SIDE) for label in mine]
    truth = GroundTruth(
        np.array([label["bbox"] for label in mine], np.float64).reshape(-1, 4),
        np.array([label["category_id"] - 1 for label in mine], np.int64),
        np.array([label["area"] for label in mine], np.float64),
        np.array([label["iscrowd"] for label in mine], np.bool_),
    )
    ignored = np.array([is_ignored for _, is_ignored in told], np.bool_)
    return InstanceSample(str(image), Path(), truth, [shape for shape, _ in told], ignored, SIDE, SIDE)


def found_in(image: int, results: list[dict[str, Any]], shape_of: Any) -> Instances:
    mine = [found for found in results if found["image_id"] == image]
    boxes = np.array([found["bbox"] for found in mine], np.float32).reshape(-1, 4)
    return Instances(
        np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        np.array([found["score"] for found in mine], np.float32),
        np.array([found["category_id"] - 1 for found in mine], np.int64),
        [shape_of(found) for found in mine],
    )


def mask_of(found: dict[str, Any]) -> Mask:
    pixels = coco_mask.decode(coco_mask.frPyObjects([found["polygon"]], SIDE, SIDE)[0])
    return Mask.of(np.asarray(pixels, np.bool_))


def points_of(found: dict[str, Any]) -> NDArray[np.float64]:
    return np.reshape(found["keypoints"], (-1, 3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("kind", "shape_of", "name"),
    [(Masks(), mask_of, "segm"), (Keypoints(), points_of, "keypoints")],
    ids=["m", "k"],
)
def test_mean_precision_is_cocos(kind: Any, shape_of: Any, name: str, seed: int) -> None:
    labels, results = data_set(seed)
    samples = [sample_of(image, labels, kind) for image in range(6)]
    found = [found_in(image, results, shape_of) for image in range(6)]
    table = match_table(samples, found, CLASSES, kind.similarity, kind.most)
    assert mean_precision(table) == pytest.approx(expected(labels, results, name), abs=1e-9)
    ones = np.ones((1, 6), np.int64)
    assert table.resample(ones)[0] == mean_precision(table)


@pytest.mark.parametrize("seed", range(30))
def test_polygons_are_filled_as_coco_fills_them(seed: int) -> None:
    from calibrant.tasks.detection.instances.rle import filled

    rng = np.random.default_rng(seed)
    polygons = [rng.uniform(-5, SIDE + 5, 2 * int(rng.integers(3, 9))).tolist() for _ in range(2)]
    runs = coco_mask.merge(coco_mask.frPyObjects(polygons, 40, SIDE))
    assert np.array_equal(filled(polygons, SIDE, 40), np.asarray(coco_mask.decode(runs), np.bool_))


@pytest.mark.parametrize("is_text", [True, False])
def test_counts_of_runs_are_read(is_text: bool) -> None:
    from calibrant.tasks.detection.instances.rle import from_counts

    pixels = np.random.default_rng(1).random((40, SIDE)) < 0.3
    runs = coco_mask.encode(np.asfortranarray(pixels, np.uint8))
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]))).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    told = {"counts": runs["counts"].decode() if is_text else counts, "size": [40, SIDE]}
    assert np.array_equal(from_counts(told, SIDE, 40), pixels)


@pytest.mark.parametrize(
    "told", [{"counts": [1, 2]}, {"counts": "\u00fc"}, {"counts": None}, {}, {"counts": [-1, 9]}]
)
def test_other_counts_are_refused(told: dict[str, Any]) -> None:
    from calibrant.tasks.detection.instances.rle import from_counts

    with pytest.raises(ValueError, match="counts"):
        from_counts(told, 4, 4)


def test_where_labels_have_no_areas_a_body_is_half_of_its_box(tmp_path: Path) -> None:
    """As Ultralytics' pose validator: 0.53 of the box, where COCO has the outline's area."""
    write_image(tmp_path / "images" / "a.png", 100, 50)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.4 0.5 0.5 2\n")
    (tmp_path / "data.yaml").write_text("val: images\nnames: [person]\nkpt_shape: [1, 3]\n")
    _, (sample,) = open_instances(tmp_path / "data.yaml", Keypoints(), None, None)
    assert sample.truth.areas == pytest.approx([0.53 * 20 * 20])
