"""Synthetic labelled data as files: a calibration folder and a COCO test set.

How a detector does on photographs cannot be read from them; how the calibrators rank on this detector and
these images can. Every image has a seed of its own, so the first ones stay the same when more are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibrant.artifacts.store import write_bytes, write_json
from calibrant.core.errors import SettingsError
from calibrant.demo.scene import Box, Scene, drawn_scene

SYNTHETIC = "synthetic images: characters drawn by this program on blurred colour; nothing was photographed"

_CATEGORY = {"id": 1, "name": "character"}
# The second word of an image's seed: no image of one set is drawn from a seed of the other.
_STREAMS = {"calibration": 0, "test": 1}


@dataclass(frozen=True)
class DemoData:
    """What was drawn: a folder of images, and a file of labels beside the images that it names."""

    calibration: Path
    dataset: Path


def render(folder: Path, *, test_images: int, calibration_images: int, seed: int) -> DemoData:
    """Draw ``calibration/`` and the labelled ``test/`` into ``folder``; no image is in both.

    Boxes are the tight bounds of the characters, in pixels. The same arguments give the same bytes with the
    same versions of OpenCV and Pillow on the same kind of processor. Raises SettingsError for a count below
    1 or a negative seed, and OutputError when a file cannot be written.
    """
    require_drawable(test_images, calibration_images, seed, "images")
    data = DemoData(folder / "calibration", folder / "test" / "annotations.json")
    for _ in _written(data.calibration, "calibration", calibration_images, seed):
        pass
    scenes = _written(data.dataset.parent, "test", test_images, seed)
    write_json(data.dataset, _coco(scenes))
    return data


def require_drawable(test: int, calibration: int, seed: int, what: str) -> None:
    """Raise SettingsError for a count below 1 or a negative seed; what: e.g. "images"."""
    if min(test, calibration) < 1:
        raise SettingsError(
            f"{test} test and {calibration} calibration {what} were asked for; ask for 1 of each or more"
        )
    if seed < 0:
        raise SettingsError(f"the seed {seed} is negative; use e.g. --seed 0")


def _written(folder: Path, name: str, count: int, seed: int) -> Iterator[tuple[str, Scene]]:
    for index in range(count):
        scene = drawn_scene(np.random.default_rng([seed, _STREAMS[name], index]))
        file_name = f"{name}_{index:04d}.png"
        # Not JPEG: its coarse colours cost this detector a quarter of its mAP.
        _, encoded = cv2.imencode(".png", scene.image)
        write_bytes(folder / file_name, encoded.tobytes())
        yield file_name, scene


def _coco(scenes: Iterable[tuple[str, Scene]]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, scene) in enumerate(scenes, start=1):
        height, width = scene.image.shape[:2]
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        annotations += [_annotation(len(annotations) + n, image_id, b) for n, b in enumerate(scene.boxes, 1)]
    return {
        "info": {"description": SYNTHETIC},
        "images": images,
        "annotations": annotations,
        "categories": [_CATEGORY],
    }


def _annotation(number: int, image_id: int, box: Box) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": _CATEGORY["id"],
        "bbox": [box.x, box.y, box.width, box.height],
        "area": box.width * box.height,
        "iscrowd": 0,
    }
