"""Small labelled sets for the tests, written in each of the formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Box = tuple[int, float, float, float, float]  # class index, left, top, width, height

CLASSES = ("cat", "dog", "bird")


@dataclass(frozen=True)
class Picture:
    """An image to be written, with its boxes."""

    name: str = "one.png"
    width: int = 64
    height: int = 48
    boxes: tuple[Box, ...] = ((0, 8.0, 6.0, 16.0, 12.0),)


PICTURES = (
    Picture("b.png", 64, 48, ((0, 8, 6, 16, 12), (2, 0, 0, 64, 48))),
    Picture("a.png", 40, 80, ((1, 10, 20, 4, 8),)),
    Picture("c.png", 32, 32, ()),
)


def dropped(share: str, example: str) -> str:
    """The warning about boxes that nothing can find."""
    return f"{share} boxes are missing, empty or not finite, e.g. in {example!r}; they were dropped"


def write_image(path: Path, width: int = 64, height: int = 48, shade: int = 0) -> Path:
    """An image of one colour, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written, data = cv2.imencode(path.suffix, np.full((height, width, 3), shade, np.uint8))
    assert written
    path.write_bytes(data.tobytes())
    return path


def write_images(folder: Path, pictures: Sequence[Picture]) -> None:
    for shade, picture in enumerate(pictures):
        write_image(folder / picture.name, picture.width, picture.height, shade)


def coco_content(pictures: Sequence[Picture] = PICTURES) -> dict[str, Any]:
    """COCO labels; category ids are 1, 3, 5 for the classes 0, 1, 2, image ids 100, 101, ..."""
    return {
        "images": [
            {"id": 100 + index, "file_name": picture.name, "width": picture.width, "height": picture.height}
            for index, picture in enumerate(pictures)
        ],
        "annotations": [
            {"id": 1000 * index + k, "image_id": 100 + index, "category_id": 2 * box[0] + 1, "bbox": box[1:]}
            for index, picture in enumerate(pictures)
            for k, box in enumerate(picture.boxes)
        ],
        "categories": [{"id": 2 * index + 1, "name": name} for index, name in enumerate(CLASSES)],
    }


def write_coco(
    folder: Path, pictures: Sequence[Picture] = PICTURES, content: Mapping[str, Any] | None = None
) -> Path:
    """``labels.json`` with the images in ``images``; returns the JSON file."""
    write_images(folder / "images", pictures)
    path = folder / "labels.json"
    path.write_text(json.dumps(coco_content(pictures) if content is None else content))
    return path


def write_ultralytics(folder: Path, pictures: Sequence[Picture] = PICTURES) -> Path:
    """``data.yaml`` with ``images/val`` and ``labels/val``; a picture without boxes has no label file."""
    write_images(folder / "images" / "val", pictures)
    labels = folder / "labels" / "val"
    labels.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        lines = [yolo_line(box, picture) for box in picture.boxes]
        if lines:
            (labels / picture.name).with_suffix(".txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    path = folder / "data.yaml"
    path.write_text(f"path: .\nval: images/val\nnames:\n{names}")
    return path


def yolo_line(box: Box, picture: Picture) -> str:
    index, left, top, width, height = box
    numbers = (
        (left + width / 2) / picture.width,
        (top + height / 2) / picture.height,
        width / picture.width,
        height / picture.height,
    )
    return f"{index} " + " ".join(f"{number:.9f}" for number in numbers)


def write_voc(folder: Path, pictures: Sequence[Picture] = PICTURES) -> Path:
    """``Annotations`` and ``JPEGImages``, with classes.txt; returns the folder."""
    write_images(folder / "JPEGImages", pictures)
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    for picture in pictures:
        (folder / "Annotations" / picture.name).with_suffix(".xml").write_text(voc_text(picture))
    return folder


def voc_text(picture: Picture) -> str:
    objects = "".join(
        f"<object><name>{CLASSES[index]}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{left + 1:g}</xmin><ymin>{top + 1:g}</ymin>"
        f"<xmax>{left + width:g}</xmax><ymax>{top + height:g}</ymax></bndbox></object>"
        for index, left, top, width, height in picture.boxes
    )
    return (
        f"<annotation><filename>{picture.name}</filename><size><width>{picture.width}</width>"
        f"<height>{picture.height}</height><depth>3</depth></size>{objects}</annotation>"
    )
