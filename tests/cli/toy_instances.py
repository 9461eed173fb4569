"""The toy detector with heads of instances, in the layout of YOLOv8's: masks, keypoints, turned boxes.

Every square's mask is its box, its points are two corners and the centre, and its angle is 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from toy_detector import CELL, CELLS, CLASSES, SIDE, coco_labels, detector, write_images

CANDIDATES = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
METADATA = {
    "segment": {"task": "segment"},
    "pose": {"task": "pose", "kpt_shape": "[3, 3]"},
    "obb": {"task": "obb"},
}


def instance_model(kind: str, *, metadata: bool = True) -> onnx.ModelProto:
    """A model of a kind (segment, pose or obb)."""
    model = detector()
    graph = model.graph
    kept = [node for node in graph.node if node.name not in ("join", "pad")]
    extra = _extras(kind)
    width = 4 + len(CLASSES) + extra.shape[2]
    kept += [
        helper.make_node("Slice", ["by_cell", "one", "three", "last"], ["by_label"], name="labels"),
        helper.make_node("Slice", ["by_cell", "zero", "one", "last"], ["is_any"], name="any"),
        helper.make_node("Mul", ["by_label", "is_any"], ["scores_of"], name="times"),
        helper.make_node("Concat", ["boxes", "scores_of", "extra"], ["found"], name="join", axis=2),
        helper.make_node("Concat", ["found", "nothing"], ["rows"], name="pad", axis=1),
        helper.make_node("Transpose", ["rows"], ["output0"], name="columns", perm=[0, 2, 1]),
    ]
    weights = {tensor.name: tensor for tensor in graph.initializer if tensor.name != "nothing"}
    new = {
        "extra": extra, "nothing": np.zeros((1, CANDIDATES - CELLS, width), np.float32),
        "zero": np.array([0]), "one": np.array([1]), "three": np.array([3]), "last": np.array([2]),
    }  # fmt: skip
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, width, CANDIDATES])]
    if kind == "segment":
        kept.append(helper.make_node("Identity", ["prototypes"], ["output1"], name="maps"))
        new["prototypes"] = np.stack([np.ones((16, 16)), np.zeros((16, 16))])[None].astype(np.float32)
        outputs.append(helper.make_tensor_value_info("output1", TensorProto.FLOAT, [1, 2, 16, 16]))
    tensors = [*weights.values(), *(numpy_helper.from_array(array, name) for name, array in new.items())]
    made = helper.make_model(
        helper.make_graph(kept, "instances", list(graph.input), outputs, tensors),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    if metadata:
        helper.set_model_props(made, METADATA[kind] | {"names": str(dict(enumerate(CLASSES)))})
    return made


def write_instances(folder: Path, count: int, seed: int) -> Path:
    """``labels.json`` with polygons, keypoints and boxes beside ``images``; returns the JSON file."""
    squares = write_images(folder / "images", count, seed)
    content = coco_labels(squares, seed)
    for label in content["annotations"]:
        x, y, w, h = label["bbox"]
        label["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        label["keypoints"] = [x, y, 2, x + w, y + h, 2, x + w / 2, y + h / 2, 2]
        label["num_keypoints"] = 3
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def write_lines(folder: Path, labels: Path, kind: str) -> Path:
    """The same as Ultralytics' data.yaml and txt files; returns the YAML file."""
    content = json.loads(labels.read_text())
    names = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
    (folder / "labels").mkdir()
    for label in content["annotations"]:
        with (folder / "labels" / f"{names[label['image_id']]}.txt").open("a") as file:
            file.write(" ".join(map(str, [label["category_id"] - 1, *_line(label, kind)])) + "\n")
    (folder / "data.yaml").write_text(
        f"path: {folder}\nval: images\nnames: {list(CLASSES)}\n"
        + ("kpt_shape: [3, 3]\n" if kind == "pose" else "")
    )
    return folder / "data.yaml"


def _line(label: dict[str, Any], kind: str) -> list[float]:
    x, y, w, h = (value / SIDE for value in label["bbox"])
    if kind != "pose":
        return [value / SIDE for value in label["segmentation"][0]]
    points = np.reshape(label["keypoints"], (-1, 3)) / (SIDE, SIDE, 1)
    return [x + w / 2, y + h / 2, w, h, *points.ravel().tolist()]


def _extras(kind: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows, columns = np.divmod(np.arange(CELLS), SIDE // CELL)
    corner = np.stack([columns, rows], axis=1) * CELL
    if kind == "segment":
        found = np.tile([1.0, 0.0], (CELLS, 1))
    elif kind == "obb":
        found = np.zeros((CELLS, 1))
    else:
        sure = np.ones((CELLS, 1))
        found = np.concatenate([corner, sure, corner + CELL, sure, corner + CELL / 2, sure], axis=1)
    return found[None].astype(np.float32)
