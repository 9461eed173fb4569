"""Random labelled images with detections, and what pycocotools makes of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from calibrant.tasks.detection.types import Category, Detections, DetectionSample, GroundTruth

CATEGORIES = tuple(Category(7 * number + 3, f"class {number}") for number in range(3))


def scene(seed: int, images: int, ties: bool = False) -> tuple[list[DetectionSample], list[Detections]]:
    """Boxes of all sizes, crowds, and areas smaller than the box; detections near boxes and anywhere.

    Scores are all different, or with ``ties`` of nine values only.
    """
    rng = np.random.default_rng(seed)
    scores = rng.permutation(np.linspace(0.01, 0.99, images * 40)).astype(np.float32)
    scores = scores.round(1) if ties else scores
    samples, found = [], []
    for index in range(images):
        count = int(rng.integers(0, 7))
        sizes = np.exp(rng.uniform(2, 5.5, (count, 2)))
        xywh = np.concatenate([rng.uniform(0, 300, (count, 2)), sizes], axis=1).round(2)
        truth = GroundTruth(
            xywh=xywh,
            classes=rng.integers(0, 3, count),
            areas=xywh[:, 2] * xywh[:, 3] * rng.uniform(0.3, 1, count),
            crowd=rng.random(count) < 0.2,
        )
        samples.append(DetectionSample(f"{index}", Path(f"{index}.jpg"), truth))
        found.append(_detections(rng, truth, scores[40 * index : 40 * index + int(rng.integers(0, 41))]))
    return samples, found


def _detections(rng: np.random.Generator, truth: GroundTruth, scores: NDArray[np.float32]) -> Detections:
    count = len(scores)
    boxes = np.concatenate([rng.uniform(0, 300, (count, 2)), np.exp(rng.uniform(2, 5.5, (count, 2)))], axis=1)
    classes = rng.integers(0, 3, count)
    if len(truth):
        near = rng.random(count) < 0.7
        chosen = rng.integers(0, len(truth), count)
        boxes[near] = (truth.xywh[chosen] + rng.normal(0, 4, (count, 4)))[near]
        classes[near] = truth.classes[chosen][near]
    boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:].clip(1)
    return Detections(boxes.astype(np.float32), scores, classes)


def pycocotools_numbers(
    samples: Sequence[DetectionSample], found: Sequence[Detections], categories: Sequence[Category]
) -> list[float]:
    """COCO's twelve numbers, by the reference implementation; -1 where undefined."""
    labelled = COCO()
    labelled.dataset = {
        "images": [{"id": index} for index in range(len(samples))],
        "categories": [{"id": category.id, "name": category.name} for category in categories],
        "annotations": list(_annotations(samples, categories)),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        labelled.createIndex()
        results = list(_results(found, categories))
        evaluation = COCOeval(labelled, labelled.loadRes(results) if results else COCO(), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(number) for number in evaluation.stats]


def _annotations(samples: Sequence[DetectionSample], categories: Sequence[Category]) -> Any:
    number = 0
    for index, sample in enumerate(samples):
        truth = sample.truth
        for box, kind, area, crowd in zip(truth.xywh, truth.classes, truth.areas, truth.crowd, strict=True):
            number += 1
            yield {
                "id": number,
                "image_id": index,
                "category_id": categories[kind].id,
                "bbox": box.tolist(),
                "area": float(area),
                "iscrowd": int(crowd),
            }


def _results(found: Sequence[Detections], categories: Sequence[Category]) -> Any:
    for index, detections in enumerate(found):
        boxes = detections.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for box, points, kind in zip(boxes, detections.scores, detections.classes, strict=True):
            yield {
                "image_id": index,
                "category_id": categories[kind].id,
                "bbox": box.tolist(),
                "score": float(points),
            }
