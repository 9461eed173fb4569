"""Small ONNX detectors, one a family, that find two known objects in any image of 128 x 96 pixels.

Each head computes as the family's exporter writes it; what its last convolutions give is worked out
backwards from the objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

    def __init__(self, **other_inputs: list[int]) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])]
        self._inputs += [
            helper.make_tensor_value_info(n, TensorProto.INT64, s) for n, s in other_inputs.items()
        ]
        self._nothing = self.op("Conv", "images", np.zeros((1, 3, HEIGHT, WIDTH)), strides=[HEIGHT, WIDTH])

    def op(self, kind: str, *inputs: str | Array | float, count: int = 1, **attributes: Any) -> Any:
        """Add an operator; gives its output's name (or names, if it has several)."""
        names = [value if isinstance(value, str) else self._constant(np.asarray(value)) for value in inputs]
        outputs = [f"{kind.lower()}{len(self._nodes)}_{index}" for index in range(count)]
        self._nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return outputs[0] if count == 1 else outputs

    def conv(self, values: Array) -> str:
        """The last convolution of a branch: gives these values (1, C, H, W) for every image."""
        seen = self.op("Add", values, self._nothing)
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


# --- YOLOv5 and its kin ----------------------------------------------------------------------------

ANCHORS = {
    8: [[10, 13], [16, 30], [33, 23]],
    16: [[30, 61], [62, 45], [59, 119]],
    32: [[116, 90], [156, 198], [373, 326]],
}


def _anchor_level(
    stride: int, rows: int, columns: int, mine: list[tuple[int, int, int]], darknet: bool
) -> Array:
    """What the last convolution gives, (3, 5 + C, rows, columns); objects are on the second anchor."""
    raw = np.full((3, 5 + CLASSES, rows, columns), FAR_BELOW_ZERO)
    raw[:, :4] = 0
    for number, row, column in mine:
        offset = CENTRES[number] / stride - [column, row]
        ratio = SIZES[number] / ANCHORS[stride][1]
        centre, size = (offset, np.log(ratio)) if darknet else ((offset + 0.5) / 2, logit(np.sqrt(ratio) / 2))
        raw[1, :, row, column] = [*logit(centre), *size, logit(SCORES[number] ** 0.5), *class_logits(number)]
    return raw


def yolov5_raw(strides: tuple[int, ...] = (8, 16, 32)) -> Head:
    head = Head()
    for stride, rows, columns, mine in on_grid(strides):
        raw = _anchor_level(stride, rows, columns, mine, darknet=False)
        value = head.shaped(head.conv(raw.reshape(1, -1, rows, columns)), 1, 3, 5 + CLASSES, rows, columns)
        head.output(
            head.op("Transpose", value, perm=[0, 1, 3, 4, 2]),
            1,
            3,
            rows,
            columns,
            5 + CLASSES,
            name=f"p{stride}",
        )
    return head


def yolov5_maps() -> Head:
    """The same maps without the reshape, as some export them."""
    head = Head()
    for stride, rows, columns, mine in on_grid((8, 16, 32)):
        raw = _anchor_level(stride, rows, columns, mine, darknet=False).reshape(1, -1, rows, columns)
        head.output(head.conv(raw), *raw.shape, name=f"p{stride}")
    return head


def yolov5() -> Head:
    head, tables = Head(), []
    for stride, rows, columns, mine in on_grid((8, 16, 32)):
        raw = _anchor_level(stride, rows, columns, mine, darknet=False)
        value = head.shaped(head.conv(raw.reshape(1, -1, rows, columns)), 1, 3, 5 + CLASSES, rows, columns)
        value = head.op("Sigmoid", head.op("Transpose", value, perm=[0, 1, 3, 4, 2]))
        xy, wh, rest = head.split(value, 4, 2, 2, 1 + CLASSES)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[None, None] - 0.5
        xy = head.op("Mul", head.op("Add", head.op("Mul", xy, 2.0), grid), float(stride))
        anchors = np.array(ANCHORS[stride], float).reshape(1, 3, 1, 1, 2)
        wh = head.op("Mul", head.op("Pow", head.op("Mul", wh, 2.0), 2.0), anchors)
        tables.append(head.shaped(head.joined(4, xy, wh, rest), 1, -1, 5 + CLASSES))
    head.output(head.joined(1, *tables), 1, 756, 5 + CLASSES, name="output0")
    return head


def yolo_fastest() -> Head:
    head, tables = Head(), []
    for stride, rows, columns, mine in on_grid((16, 32)):
        raw = _anchor_level(stride, rows, columns, mine, darknet=True)
        value = head.shaped(head.conv(raw.reshape(1, -1, rows, columns)), 1, 3, 5 + CLASSES, rows, columns)
        xy, wh, rest = head.split(head.op("Transpose", value, perm=[0, 1, 3, 4, 2]), 4, 2, 2, 1 + CLASSES)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[None, None].astype(float)
        xy = head.op("Mul", head.op("Add", head.op("Sigmoid", xy), grid), float(stride))
        wh = head.op("Mul", head.op("Exp", wh), np.array(ANCHORS[stride], float).reshape(1, 3, 1, 1, 2))
        tables.append(head.shaped(head.joined(4, xy, wh, head.op("Sigmoid", rest)), 1, -1, 5 + CLASSES))
    head.output(head.joined(1, *tables), 1, 180, 5 + CLASSES, name="output0")
    return head


# --- one box a cell --------------------------------------------------------------------------------


def _yolox_table(head: Head) -> str:
    """Offsets, logarithms of sizes, objectness and class scores, (1, N, 5 + C)."""
    levels = []
    for stride, rows, columns, mine in on_grid((8, 16, 32)):
        raw = np.full((1, 5 + CLASSES, rows, columns), FAR_BELOW_ZERO)
        raw[:, :4] = 0
        for number, row, column in mine:
            offset, size = CENTRES[number] / stride - [column, row], np.log(SIZES[number] / stride)
            raw[0, :, row, column] = [*offset, *size, logit(SCORES[number] ** 0.5), *class_logits(number)]
        parts = [
            head.conv(raw[:, :4]),
            *(head.op("Sigmoid", head.conv(part)) for part in (raw[:, 4:5], raw[:, 5:])),
        ]
        levels.append(head.shaped(head.joined(1, *parts), 1, 5 + CLASSES, -1))
    return str(head.op("Transpose", head.joined(2, *levels), perm=[0, 2, 1]))


def yolox() -> Head:
    head = Head()
    head.output(_yolox_table(head), 1, 252, 5 + CLASSES, name="output")
    return head


def yolox_decoded() -> Head:
    head = Head()
    points, strides = cell_centres((8, 16, 32), 0)
    xy, wh, rest = head.split(_yolox_table(head), 2, 2, 2, 1 + CLASSES)
    xy = head.op("Mul", head.op("Add", xy, points[None]), strides[None])
    wh = head.op("Mul", head.op("Exp", wh), strides[None])
    head.output(head.joined(2, xy, wh, rest), 1, 252, 5 + CLASSES, name="output")
    return head


def _distance_maps(
    strides: tuple[int, ...], point: float, bins: int, share: float
) -> Iterator[tuple[Array, Array]]:
    """For each level class logits (1, C, H, W) and distribution logits (1, 4 * bins, H, W)."""
    for stride, rows, columns, mine in on_grid(strides):
        kinds = np.full((1, CLASSES, rows, columns), FAR_BELOW_ZERO)
        sides = np.zeros((1, 4 * bins, rows, columns))
        for number, row, column in mine:
            reach = distances(number, (column + point) * stride, (row + point) * stride, stride)
            kinds[0, :, row, column] = class_logits(number, share)
            sides[0, :, row, column] = np.concatenate([bins_with_mean(side, bins) for side in reach])
        yield kinds, sides


def _centres_and_sizes(head: Head, sides: str, strides: tuple[int, ...], axis: int) -> list[str]:
    """From distances in strides to centre and size in pixels, as Ultralytics and YOLOv6 do it."""
    points, steps = cell_centres(strides, 0.5)
    points, steps = (points.T[None], steps.T[None]) if axis == 1 else (points[None], steps[None])
    near, far = head.split(sides, axis, 2, 2)
    first, second = head.op("Sub", points, near), head.op("Add", points, far)
    centre = head.op("Div", head.op("Add", first, second), 2.0)
    return [head.op("Mul", value, steps) for value in (centre, head.op("Sub", second, first))]


def yolov8() -> Head:
    head, kinds, sides = Head(), [], []
    for kind, side in _distance_maps((8, 16, 32), 0.5, 16, share=1):
        kinds.append(head.shaped(head.conv(kind), 1, CLASSES, -1))
        sides.append(head.shaped(head.conv(side), 1, 64, -1))
    odds = head.op(
        "Softmax",
        head.op("Transpose", head.shaped(head.joined(2, *sides), 1, 4, 16, -1), perm=[0, 2, 1, 3]),
        axis=1,
    )
    reach = head.shaped(head.op("Conv", odds, np.arange(16.0).reshape(1, 16, 1, 1)), 1, 4, -1)
    boxes = _centres_and_sizes(head, reach, (8, 16, 32), axis=1)
    head.output(
        head.joined(1, *boxes, head.op("Sigmoid", head.joined(2, *kinds))),
        1,
        4 + CLASSES,
        252,
        name="output0",
    )
    return head


def yolov6() -> Head:
    head, kinds, sides = Head(), [], []
    for (kind, _), (stride, rows, columns, mine) in zip(
        _distance_maps((8, 16, 32), 0.5, 16, share=1), on_grid((8, 16, 32)), strict=True
    ):
        side = np.zeros((1, 4, rows, columns))
        for number, row, column in mine:
            side[0, :, row, column] = distances(number, (column + 0.5) * stride, (row + 0.5) * stride, stride)
        kinds.append(head.shaped(head.op("Sigmoid", head.conv(kind)), 1, CLASSES, -1))
        sides.append(head.shaped(head.conv(side), 1, 4, -1))
    reach = head.op("Transpose", head.joined(2, *sides), perm=[0, 2, 1])
    boxes = _centres_and_sizes(head, reach, (8, 16, 32), axis=2)
    scores = head.op("Transpose", head.joined(2, *kinds), perm=[0, 2, 1])
    head.output(head.joined(2, *boxes, np.ones((1, 252, 1)), scores), 1, 252, 5 + CLASSES, name="outputs")
    return head


def nanodet() -> Head:
    head = Head()
    kinds: list[tuple[str, int, int]] = []
    sides: list[tuple[str, int, int]] = []
    for kind, side in _distance_maps((8, 16, 32), 0.5, 8, share=1):
        for values, done, activation in ((kind, kinds, "Sigmoid"), (side, sides, "Identity")):
            flat = head.shaped(head.op(activation, head.conv(values)), 1, values.shape[1], -1)
            done.append((head.op("Transpose", flat, perm=[0, 2, 1]), values[0, 0].size, values.shape[1]))
    for index, (value, cells, width) in enumerate([*kinds, *sides]):
        head.output(value, 1, cells, width, name=f"out{index}")
    return head


def nanodet_plus() -> Head:
    head, levels = Head(), []
    for kind, side in _distance_maps((8, 16, 32, 64), 0.0, 8, share=1):
        both = head.conv(np.concatenate([kind, side], axis=1))
        scores, distribution = head.split(both, 1, CLASSES, 32)
        levels.append(
            head.shaped(head.joined(1, head.op("Sigmoid", scores), distribution), 1, CLASSES + 32, -1)
        )
    head.output(
        head.op("Transpose", head.joined(2, *levels), perm=[0, 2, 1]), 1, 256, CLASSES + 32, name="output"
    )
    return head


def fastestdet() -> Head:
    head = Head()
    rows, columns = HEIGHT // 16, WIDTH // 16
    objectness = np.full((1, 1, rows, columns), FAR_BELOW_ZERO * 3)
    boxes, kinds = np.zeros((1, 4, rows, columns)), np.zeros((1, CLASSES, rows, columns))
    for number, (x, y) in enumerate(CENTRES):
        row, column = int(y // 16), int(x // 16)
        objectness[0, 0, row, column] = logit(SCORES[number] ** (1 / 0.6))
        offset = np.array([x / 16 - column, y / 16 - row])
        boxes[0, :, row, column] = [*np.arctanh(offset), *logit(SIZES[number] / [WIDTH, HEIGHT])]
        kinds[0, KINDS[number], row, column] = 40
    scores = head.op("Softmax", head.op("Transpose", head.conv(kinds), perm=[0, 2, 3, 1]), axis=3)
    parts = (
        head.op("Sigmoid", head.conv(objectness)),
        head.conv(boxes),
        head.op("Transpose", scores, perm=[0, 3, 1, 2]),
    )
    head.output(head.joined(1, *parts), 1, 5 + CLASSES, rows, columns, name="output")
    return head


# --- queries and finished lists --------------------------------------------------------------------


def _queries(count: int, classes: int, nothing: float) -> tuple[Array, Array]:
    """Boxes (count, 4; centre, size; fractions) and class logits (count, classes); the objects come last."""
    boxes, logits = np.full((count, 4), 0.5), np.full((count, classes), nothing)
    whole = np.array([WIDTH, HEIGHT])
    boxes[-2:] = np.concatenate([CENTRES / whole, SIZES / whole], axis=1)
    for number in (0, 1):
        logits[number - 2, KINDS[number]] = logit(SCORES[number])
    return boxes, logits


def _table(head: Head, values: Array) -> str:
    """A table (N, K) that a last convolution gives, as 1 x N x K."""
    flat = head.conv(values.T[None, :, :, None])
    return str(head.op("Transpose", head.shaped(flat, 1, values.shape[1], -1), perm=[0, 2, 1]))


def rtdetr_logits() -> Head:
    head = Head()
    boxes, logits = _queries(300, CLASSES, FAR_BELOW_ZERO)
    head.output(_table(head, logits), 1, 300, CLASSES, name="logits")
    head.output(_table(head, boxes), 1, 300, 4, name="pred_boxes")
    head.output(_table(head, np.zeros((300, 8))), 1, 300, 8, name="last_hidden_state")
    return head


def detr() -> Head:
    head = Head(pixel_mask=[1, HEIGHT, WIDTH])
    boxes, _ = _queries(100, 92, 0)
    logits = np.zeros((100, 92))
    logits[:, -1] = 30
    for number in (0, 1):
        odds = np.full(92, 1e-9)
        odds[KINDS[number]], odds[-1] = SCORES[number], 1 - SCORES[number]
        logits[number - 2] = np.log(odds)
    head.output(_table(head, logits), 1, 100, 92, name="logits")
    head.output(_table(head, boxes), 1, 100, 4, name="pred_boxes")
    return head


def rtdetr_ultralytics() -> Head:
    head = Head()
    boxes, logits = _queries(300, CLASSES, FAR_BELOW_ZERO)
    head.output(
        head.joined(2, _table(head, boxes), head.op("Sigmoid", _table(head, logits))),
        1,
        300,
        4 + CLASSES,
        name="output0",
    )
    return head


def rtdetr() -> Head:
    head = Head(orig_target_sizes=[1, 2])
    size = head.op(
        "Cast", head.op("Concat", "orig_target_sizes", "orig_target_sizes", axis=1), to=TensorProto.FLOAT
    )
    boxes = _table(head, BOXES / [WIDTH, HEIGHT, WIDTH, HEIGHT])
    head.output(
        head.op("Cast", head.shaped(_table(head, KINDS[:, None].astype(float)), 1, 2), to=TensorProto.INT64),
        1,
        2,
        name="labels",
        kind=TensorProto.INT64,
    )
    head.output(head.op("Mul", boxes, head.shaped(size, 1, 1, 4)), 1, 2, 4, name="boxes")
    head.output(head.shaped(_table(head, SCORES[:, None]), 1, 2), 1, 2, name="scores")
    return head


def yolov10() -> Head:
    head = Head()
    rows = np.zeros((300, 6))
    rows[:2] = np.column_stack([BOXES, SCORES, KINDS])
    head.output(_table(head, rows), 1, 300, 6, name="output0")
    return head


def yolov7_end_to_end() -> Head:
    head = Head()
    rows = np.column_stack([np.zeros(2), BOXES, KINDS, SCORES])
    head.output(head.shaped(_table(head, rows), -1, 7), None, 7, name="output")
    return head


def efficientnms() -> Head:
    """Its four lists; what is behind the count is not real, as the plugin leaves it."""
    head = Head()
    boxes = np.concatenate([BOXES, [[1.0, 1.0, 50.0, 50.0]]])
    for name, values, kind, shape in (
        ("num_dets", [[2.0]], TensorProto.INT32, (1, 1)),
        ("det_boxes", boxes, TensorProto.FLOAT, (1, 3, 4)),
        ("det_scores", [*SCORES, 0.99], TensorProto.FLOAT, (1, 3)),
        ("det_classes", [*KINDS, 1.0], TensorProto.INT32, (1, 3)),
    ):
        table = _table(head, np.reshape(values, (-1, shape[-1] if len(shape) == 3 else 1)))
        head.output(head.op("Cast", head.shaped(table, *shape), to=kind), *shape, name=name, kind=kind)
    return head


def onnx_nms() -> Head:
    """ONNX's own NonMaxSuppression inside: 1 x (as many as stay) x 6. The first box stands there twice."""
    head = Head()
    boxes = np.concatenate([BOXES, BOXES[:1] + 1])
    scores = np.zeros((3, CLASSES))
    scores[[0, 1, 2], [*KINDS, KINDS[0]]] = [*SCORES, 0.3]
    box, score = _table(head, boxes), head.op("Transpose", _table(head, scores), perm=[0, 2, 1])
    chosen = head.op("NonMaxSuppression", box, score, np.array(100), np.array(0.5), np.array(0.1))
    _, kind, row = head.split(chosen, 1, 1, 1, 1)
    rows = head.op("GatherND", head.shaped(box, 3, 4), row)
    points = head.op("GatherND", head.shaped(score, CLASSES, 3), head.joined(1, kind, row))
    parts = rows, head.op("Unsqueeze", points, np.array([1])), head.op("Cast", kind, to=TensorProto.FLOAT)
    head.output(head.op("Unsqueeze", head.joined(1, *parts), np.array([0])), 1, None, 6, name="detections")
    return head


HEADS: Mapping[str, tuple[str, Callable[[], Head]]] = {
    "YOLOv5": ("yolov5", yolov5),
    "YOLOv5 raw": ("yolov5-raw", yolov5_raw),
    "YOLOv5 maps": ("yolov5-raw", yolov5_maps),
    "YOLOv6": ("yolov6", yolov6),
    "YOLOv7 end to end": ("yolov7-end2end", yolov7_end_to_end),
    "YOLOv8": ("yolov8", yolov8),
    "YOLOv10": ("yolov10", yolov10),
    "YOLOX": ("yolox", yolox),
    "YOLOX decoded": ("yolox-decoded", yolox_decoded),
    "YOLO-Fastest": ("yolo-fastest", yolo_fastest),
    "FastestDet": ("fastestdet", fastestdet),
    "NanoDet": ("nanodet", nanodet),
    "NanoDet-Plus": ("nanodet-plus", nanodet_plus),
    "RT-DETR": ("rtdetr", rtdetr),
    "RT-DETR logits": ("rtdetr-logits", rtdetr_logits),
    "RT-DETR Ultralytics": ("rtdetr-ultralytics", rtdetr_ultralytics),
    "DETR": ("detr", detr),
    "EfficientNMS": ("efficientnms", efficientnms),
    "ONNX NMS": ("yolov10", onnx_nms),
}
