"""Small ONNX detectors, one a family, that find two known objects in any image of 128 x 96 pixels.

Each head computes as the family's exporter writes it; what its last convolutions give is worked out
backwards from the objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEIGHT, CLASSES = 128, 96, 3
BOXES = np.array([[20.0, 30.0, 60.0, 70.0], [60.0, 10.0, 116.0, 90.0]])
KINDS = np.array([2, 0])
SCORES = np.array([0.9, 0.6])
CENTRES = (BOXES[:, :2] + BOXES[:, 2:]) / 2
SIZES = BOXES[:, 2:] - BOXES[:, :2]
FAR_BELOW_ZERO = -14.0

Array = NDArray[Any]


class Head:
    """Builds a graph from the image input on, one operator at a time."""

    def __init__(self, kinds: Mapping[str, int] | None = None, **other_inputs: list[int]) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])]
        self._inputs += [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.INT64), shape)
            for name, shape in other_inputs.items()
        ]
        self.nothing = self.op("Conv", "images", np.zeros((1, 3, HEIGHT, WIDTH)), strides=[HEIGHT, WIDTH])

    def op(self, kind: str, *inputs: str | Array | float, count: int = 1, **attributes: Any) -> Any:
        """Add an operator; gives its output's name (or names, if it has several)."""
        names = [value if isinstance(value, str) else self._constant(np.asarray(value)) for value in inputs]
        outputs = [f"{kind.lower()}{len(self._nodes)}_{index}" for index in range(count)]
        self._nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return outputs[0] if count == 1 else outputs

    def conv(self, values: Array) -> str:
        """The last convolution of a branch: gives these values (1, C, H, W) for every image."""
        seen = self.op("Add", values, self.nothing)
        channels = values.shape[1]
        return str(self.op("Conv", seen, np.eye(channels)[:, :, None, None]))

    def shaped(self, value: str, *shape: int) -> str:
        """Reshape."""
        return str(self.op("Reshape", value, np.array(shape)))

    def split(self, value: str, axis: int, *sizes: int) -> list[str]:
        """Split into parts of these sizes."""
        return list(self.op("Split", value, np.array(sizes), axis=axis, count=len(sizes)))

    def joined(self, axis: int, *values: str | Array) -> str:
        """Concat."""
        return str(self.op("Concat", *values, axis=axis))

    def output(self, value: str, *shape: int | None, name: str, kind: int = TensorProto.FLOAT) -> None:
        """Make a value an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def save(self, path: Path, metadata: Mapping[str, str] | None = None) -> Path:
        """Write the model."""
        graph = helper.make_graph(self._nodes, "head", self._inputs, self._outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        helper.set_model_props(model, dict(metadata or {}))
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())
        return path

    def _constant(self, array: Array) -> str:
        name = f"constant{len(self._constants)}"
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self._constants.append(numpy_helper.from_array(array, name))
        return name


# --- where the objects lie on a grid ---------------------------------------------------------------


def logit(probability: Any) -> Any:
    return np.log(np.asarray(probability) / (1 - np.asarray(probability)))


def on_grid(strides: tuple[int, ...]) -> Iterator[tuple[int, int, int, list[tuple[int, int, int]]]]:
    """Each level's stride, rows and columns, and the objects on it: number, row and column of its cell.

    Object 0 lies on the first level, object 1 at stride 32.
    """
    for level, stride in enumerate(strides):
        rows, columns = -(-HEIGHT // stride), -(-WIDTH // stride)
        mine = [
            (number, int(y // stride), int(x // stride))
            for number, (x, y) in enumerate(CENTRES)
            if level == (0, strides.index(32))[number]
        ]
        yield stride, rows, columns, mine


def cell_centres(strides: tuple[int, ...], point: float) -> tuple[Array, Array]:
    """Points (N, 2) in cells, in units of the stride, and strides (N, 1), level by level."""
    points, steps = [], []
    for stride, rows, columns, _ in on_grid(strides):
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        points.append(np.stack([x.ravel(), y.ravel()], axis=1) + point)
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(points).astype(float), np.concatenate(steps).astype(float)


def class_logits(number: int, share: float = 0.5) -> Array:
    """Logits of an object's class scores: its score to the power of ``share`` for its class."""
    logits = np.full(CLASSES, FAR_BELOW_ZERO)
    logits[KINDS[number]] = logit(SCORES[number] ** share)
    return logits


def bins_with_mean(mean: float, bins: int) -> Array:
    """Logits of a distribution over bins with this mean."""
    low = int(mean)
    odds = np.full(bins, 1e-9)
    odds[low], odds[low + 1] = 1 - (mean - low) + 1e-9, mean - low + 1e-9
    return np.asarray(np.log(odds))


def distances(number: int, x: float, y: float, stride: int) -> Array:
    """From a point to left, top, right and bottom of an object, in strides."""
    left, top, right, bottom = BOXES[number]
    return np.array([x - left, y - top, right - x, bottom - y]) / stride
