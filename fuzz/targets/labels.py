"""Labels of test sets: COCO JSON, Ultralytics' data.yaml and txt files, Pascal VOC XML, list files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.detection.datasets.coco import read as read_coco
from calibrant.tasks.detection.datasets.ultralytics import read as read_ultralytics
from calibrant.tasks.detection.datasets.voc import read as read_voc
from calibrant.tasks.media.files import listed_paths
from targets.base import Target, document, refusals, scratch, spliced

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}, {"id": 2, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0.5, 0, 8, 8], "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 3, "name": "dog"}],
}
YAML = b"path: .\nval: images/val\nnc: 2\nnames: {0: cat, 1: dog}\nkpt_shape: &k [1, 2]\nx: *k\n"
LINES = b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.2 0.1 0.2 0.2\n"
VOC = (
    b'<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY e "cat">]><annotation><filename>a.png</filename>'
    b"<size><width>8</width><height>8</height></size><object><name>&e;</name><difficult>1</difficult>"
    b"<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4.5</xmax><ymax>4</ymax></bndbox></object></annotation>"
)


def _with_images(folder: Path, *names: str) -> Path:
    if not folder.is_dir():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    return folder


def _coco(content: bytes) -> None:
    folder = _with_images(scratch("coco") / "set", "images/a.png", "images/b.png")
    (folder / "labels.json").write_bytes(document(content, COCO))
    with refusals():
        read_coco(folder / "labels.json")


def _ultralytics(content: bytes) -> None:
    folder = _with_images(scratch("yaml") / "set", "images/val/a.png")
    (folder / "labels/val").mkdir(parents=True, exist_ok=True)
    (folder / "labels/val/a.txt").write_bytes(LINES)
    (folder / "data.yaml").write_bytes(spliced(content, YAML))
    with refusals():
        read_ultralytics(folder / "data.yaml")


def _lines(content: bytes) -> None:
    folder = _with_images(scratch("lines") / "set", "images/val/a.png")
    (folder / "labels/val").mkdir(parents=True, exist_ok=True)
    (folder / "labels/val/a.txt").write_bytes(spliced(content, LINES))
    (folder / "data.yaml").write_bytes(YAML)
    with refusals():
        read_ultralytics(folder / "data.yaml")


def _voc(content: bytes) -> None:
    folder = _with_images(scratch("voc") / "set", "JPEGImages/a.png")
    (folder / "Annotations").mkdir(exist_ok=True)
    (folder / "Annotations/a.xml").write_bytes(spliced(content, VOC))
    with refusals():
        read_voc(folder)
    with refusals():
        open_dataset(folder)


def _listing(content: bytes) -> None:
    folder = _with_images(scratch("listing") / "set", "a.png", "b.png")
    (folder / "list.txt").write_bytes(spliced(content, b"a.png\n# no\n./b.png\n"))
    with refusals():
        listed_paths(folder / "list.txt")


LABELS = (
    Target("coco", _coco, lambda: [json.dumps(COCO).encode()]),
    Target("data-yaml", _ultralytics, lambda: [YAML, b"val: [images/val]\nnames: [cat, dog]\n"]),
    Target("yolo-labels", _lines, lambda: [LINES]),
    Target("voc", _voc, lambda: [VOC]),
    Target("list-file", _listing, lambda: [b"a.png\n# no\n./b.png\n"]),
)
