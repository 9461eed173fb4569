"""A detector whose right answer is known, and a labelled set that it solves exactly.

It finds red and blue squares of 8x8 pixels that lie on a grid of 8 pixels, in images of 64x64 pixels. Its
output has the layout of YOLOv5's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE, CELL = 64, 8
CELLS = (SIDE // CELL) ** 2
ROWS = 3 * sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
CLASSES = ("red", "blue")


@dataclass(frozen=True)
class Square:
    """A square on the grid: class index, column and row."""

    label: int
    column: int
    row: int


def detector(*, opset: int = 13, side: int | str = SIDE) -> onnx.ModelProto:
    """The detector; ``side`` may be a symbol to leave height and width open."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "colour_w"], ["mean"], name="colour", strides=[CELL, CELL]),
            helper.make_node("Relu", ["mean"], ["hue"], name="relu"),
            helper.make_node("Conv", ["hue", "head_w", "head_b"], ["logits"], name="head"),
            helper.make_node("Sigmoid", ["logits"], ["scores"], name="sigmoid"),
            helper.make_node("Reshape", ["scores", "columns"], ["by_class"], name="reshape"),
            helper.make_node("Transpose", ["by_class"], ["by_cell"], name="transpose", perm=[0, 2, 1]),
            helper.make_node("Concat", ["boxes", "by_cell"], ["found"], name="join", axis=2),
            helper.make_node("Concat", ["found", "nothing"], ["output0"], name="pad", axis=1),
        ],
        "squares",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, ROWS, 7])],
        [numpy_helper.from_array(array, name) for name, array in _weights().items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weight(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    """A copy of one weight."""
    return np.array(numpy_helper.to_array(next(w for w in model.graph.initializer if w.name == name)))


def with_weight(model: onnx.ModelProto, name: str, array: NDArray[Any]) -> onnx.ModelProto:
    """The model with another value of one weight."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for initializer in result.graph.initializer:
        if initializer.name == name:
            initializer.CopyFrom(numpy_helper.from_array(array, name))
    return result


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def pictures(count: int, seed: int) -> list[tuple[Square, ...]]:
    """Squares for each of ``count`` images, one to three in each."""
    rng = np.random.default_rng(seed)
    cells = [rng.choice(CELLS, size=rng.integers(1, 4), replace=False) for _ in range(count)]
    return [
        tuple(Square(int(rng.integers(2)), int(cell) % CELL, int(cell) // CELL) for cell in chosen)
        for chosen in cells
    ]


def drawn(squares: Iterable[Square], seed: int = 0) -> NDArray[np.uint8]:
    """The image, blue first: squares on a dark, slightly noisy ground."""
    image = np.random.default_rng(seed).integers(0, 30, (SIDE, SIDE, 3), dtype=np.uint8)
    for square in squares:
        left, top = square.column * CELL, square.row * CELL
        image[top : top + CELL, left : left + CELL] = (255, 0, 0) if square.label else (0, 0, 255)
    return image


def write_images(folder: Path, count: int, seed: int) -> list[tuple[Square, ...]]:
    folder.mkdir(parents=True, exist_ok=True)
    squares = pictures(count, seed)
    for index, chosen in enumerate(squares):
        written, data = cv2.imencode(".png", drawn(chosen, seed + index))
        assert written
        (folder / f"{seed}-{index:02}.png").write_bytes(data.tobytes())
    return squares


def write_coco(folder: Path, count: int = 12, seed: int = 1000) -> Path:
    """``labels.json`` beside ``images``; returns the JSON file."""
    squares = write_images(folder / "images", count, seed)
    labels = folder / "labels.json"
    labels.write_text(json.dumps(coco_labels(squares, seed)))
    return labels


def coco_labels(squares: list[tuple[Square, ...]], seed: int) -> dict[str, Any]:
    boxes = [(image, square) for image, chosen in enumerate(squares) for square in chosen]
    return {
        "images": [
            {"id": index, "file_name": f"{seed}-{index:02}.png", "width": SIDE, "height": SIDE}
            for index in range(len(squares))
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": square.label + 1,
                "bbox": [square.column * CELL, square.row * CELL, CELL, CELL],
                "area": CELL * CELL,
                "iscrowd": 0,
            }
            for number, (image, square) in enumerate(boxes, 1)
        ],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(CLASSES)],
    }


def _weights() -> dict[str, NDArray[Any]]:
    colour = np.zeros((2, 3, CELL, CELL), np.float32)
    colour[0, 0] = colour[1, 2] = 1 / CELL**2
    head = np.array([[20, 20], [20, -20], [-20, 20]], np.float32).reshape(3, 2, 1, 1)
    return {
        "colour_w": colour,
        "head_w": head,
        "head_b": np.array([-10, 0, 0], np.float32),
        "columns": np.array([1, 3, CELLS], np.int64),
        "boxes": _boxes(),
        "nothing": np.zeros((1, ROWS - CELLS, 7), np.float32),
    }


def _boxes() -> NDArray[np.float32]:
    """Centre x, centre y, width and height of every cell, (1, cells, 4)."""
    rows, columns = np.divmod(np.arange(CELLS), SIDE // CELL)
    sides = np.full(CELLS, CELL)
    boxes = np.stack([columns * CELL + CELL // 2, rows * CELL + CELL // 2, sides, sides], axis=1)
    return boxes[np.newaxis].astype(np.float32)
