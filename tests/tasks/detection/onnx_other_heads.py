"""Heads of exporters that finish the work themselves, and of points with distances."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from onnx_grid_heads import ANCHORS, anchor_level, distance_maps
from onnx_heads import (
    BOXES,
    CENTRES,
    CLASSES,
    FAR_BELOW_ZERO,
    HEIGHT,
    KINDS,
    SCORES,
    SIZES,
    WIDTH,
    Array,
    Head,
    class_logits,
    distances,
    logit,
    on_grid,
)
from onnx_list_heads import queries_of, table_of

YOLOV4_SECOND = {8: [19, 36], 16: [76, 55], 32: [192, 243]}
WHOLE = np.array([WIDTH, HEIGHT])


def yolox_nms() -> Head:
    """PINTO's order of columns, sizes by Exp in front of them."""
    head = Head()
    rows = np.column_stack([np.zeros(2), KINDS, SCORES, CENTRES - SIZES / 2])
    ends = head.op("Exp", table_of(head, np.log(BOXES[:, 2:])))
    joined = head.joined(2, table_of(head, rows), ends)
    head.output(head.shaped(joined, -1, 7), None, 7, name="batchno_classid_score_x1y1x2y2")
    return head


def ssd() -> Head:
    """1200 priors: softmax with the background first, corners as fractions, sizes by Exp."""
    head, count = Head(), 1200
    odds = np.full((count, 1 + CLASSES), 1e-9)
    odds[:, 0] = 1
    starts, sizes = np.full((count, 2), 0.5), np.full((count, 2), 0.1)
    for number in (0, 1):
        odds[number, 0], odds[number, 1 + KINDS[number]] = 1 - SCORES[number], SCORES[number]
        starts[number], sizes[number] = BOXES[number, :2] / WHOLE, SIZES[number] / WHOLE
    scores = head.op("Softmax", table_of(head, np.log(odds)), axis=2)
    begin = table_of(head, starts)
    end = head.op("Add", begin, head.op("Exp", table_of(head, np.log(sizes))))
    head.output(scores, 1, count, 1 + CLASSES, name="scores")
    head.output(head.joined(2, begin, end), 1, count, 4, name="boxes")
    return head


def rfdetr() -> Head:
    head = Head()
    boxes, logits = queries_of(300, CLASSES, FAR_BELOW_ZERO)
    head.output(table_of(head, boxes), 1, 300, 4, name="dets")
    head.output(table_of(head, logits), 1, 300, CLASSES, name="labels")
    return head


def rtdetr_end_to_end() -> Head:
    head = Head()
    rows = np.zeros((300, 6))
    rows[:2] = np.column_stack([CENTRES / WHOLE, SIZES / WHOLE, SCORES, KINDS])
    head.output(table_of(head, rows), 1, 300, 6, name="output0")
    return head


def mmdeploy() -> Head:
    head = Head()
    head.output(table_of(head, np.column_stack([BOXES, SCORES])), 1, 2, 5, name="dets")
    kinds = head.op(
        "Cast", head.shaped(table_of(head, KINDS[:, None].astype(float)), 1, 2), to=TensorProto.INT64
    )
    head.output(kinds, 1, 2, name="labels", kind=TensorProto.INT64)
    return head


def paddle() -> Head:
    """Boxes in units of the original image: what scale_factor says is divided out."""
    head = Head(kinds={"scale_factor": TensorProto.FLOAT}, scale_factor=[1, 2])
    scale = head.shaped("scale_factor", 1, 1, 2)
    boxes = head.op("Div", table_of(head, BOXES), head.joined(2, scale, scale))
    rows = head.joined(2, table_of(head, np.column_stack([KINDS, SCORES])), boxes)
    head.output(head.shaped(rows, -1, 6), None, 6, name="multiclass_nms3_0.tmp_0")
    count = head.op("Cast", head.shaped(table_of(head, np.array([[2.0]])), 1), to=TensorProto.INT32)
    head.output(count, 1, name="multiclass_nms3_0.tmp_2", kind=TensorProto.INT32)
    return head


def picodet() -> Head:
    """Eight outputs: scores at four strides, then distributions."""
    head = Head()
    scores: list[tuple[str, int, int]] = []
    sides: list[tuple[str, int, int]] = []
    for kind, side in distance_maps((8, 16, 32, 64), 0.5, 8, share=1):
        for values, done, activation in ((kind, scores, "Sigmoid"), (side, sides, "Identity")):
            flat = head.shaped(head.op(activation, head.conv(values)), 1, values.shape[1], -1)
            done.append((head.op("Transpose", flat, perm=[0, 2, 1]), values[0, 0].size, values.shape[1]))
    for index, (value, cells, width) in enumerate([*scores, *sides]):
        head.output(value, 1, cells, width, name=f"out{index}")
    return head


def rtmdet() -> Head:
    """Maps of class logits and of distances in pixels from the cells' corners."""
    head = Head()
    for stride, rows, columns, mine in on_grid((8, 16, 32)):
        kinds = np.full((1, CLASSES, rows, columns), FAR_BELOW_ZERO)
        sides = np.ones((1, 4, rows, columns))
        for number, row, column in mine:
            kinds[0, :, row, column] = class_logits(number, share=1)
            sides[0, :, row, column] = distances(number, column * stride, row * stride, stride) * stride
        head.output(head.conv(kinds), 1, CLASSES, rows, columns, name=f"cls_{stride}")
        head.output(head.conv(sides), 1, 4, rows, columns, name=f"bbox_{stride}")
    return head


def yolov3_raw() -> Head:
    """Darknet's three maps behind LeakyRelu."""
    return _darknet_maps("LeakyRelu", 1.0)


def yolov4_raw() -> Head:
    """The same behind Mish (x * tanh(softplus(x))), its centres stretched by 1.2, 1.1 and 1.05."""
    return _darknet_maps("Mish", 1.2, 1.1, 1.05)


def _darknet_maps(activation: str, *scales: float) -> Head:
    head = Head()
    nothing = head.nothing
    if activation == "Mish":
        zero = head.op("Mul", nothing, head.op("Tanh", head.op("Softplus", nothing)))
    else:
        zero = head.op(activation, nothing)
    for level, (stride, rows, columns, mine) in enumerate(on_grid((8, 16, 32))):
        raw = anchor_level(stride, rows, columns, mine, darknet=True)
        raw = _stretched(raw, mine, scales[level]) if len(scales) > 1 else raw
        if activation == "Mish":  # YOLOv4's anchors, where the level's are YOLOv5's
            raw[1, 2:4] += np.log(np.array(ANCHORS[stride][1]) / YOLOV4_SECOND[stride])[:, None, None]
        maps = raw.reshape(1, -1, rows, columns)
        head.output(head.op("Add", head.conv(maps), zero), *maps.shape, name=f"p{stride}")
    return head


def _stretched(raw: Array, mine: list[tuple[int, int, int]], scale: float) -> Array:
    """Centres as a sigmoid of which ``scale`` times less (scale - 1) / 2 is the same place."""
    for _, row, column in mine:
        place = 1 / (1 + np.exp(-raw[1, :2, row, column]))
        raw[1, :2, row, column] = logit((place + (scale - 1) / 2) / scale)
    return raw


def tensorflow() -> Head:
    """Four outputs as TensorFlow names them, classes real and from 1, boxes y first; and one more table."""
    head = Head()
    boxes = BOXES[:, [1, 0, 3, 2]] / np.array([HEIGHT, WIDTH] * 2)
    padded = np.concatenate([boxes, [[0.0, 0.0, 1.0, 1.0]]])
    for name, values in (("classes", [*KINDS + 1.0, 1.0]), ("scores", [*SCORES, 0.99])):
        column = head.shaped(table_of(head, np.reshape(values, (3, 1))), 1, 3)
        head.output(column, 1, 3, name=f"detection_{name}")
    head.output(table_of(head, padded), 1, 3, 4, name="detection_boxes")
    head.output(head.shaped(table_of(head, np.array([[2.0]])), 1), 1, name="num_detections")
    head.output(table_of(head, np.ones((3, 8))), 1, 3, 8, name="detection_multiclass_scores")
    return head


def centernet() -> Head:
    return _centernet("Identity")


def centernet_with_sigmoid() -> Head:
    return _centernet("Sigmoid")


def _centernet(activation: str) -> Head:
    """Peaks at stride 4, with a lower score beside each, which is no peak."""
    head = Head()
    rows, columns = HEIGHT // 4, WIDTH // 4
    scores = np.full((1, CLASSES, rows, columns), FAR_BELOW_ZERO)
    sizes, offsets = np.ones((1, 2, rows, columns)), np.zeros((1, 2, rows, columns))
    for number in (0, 1):
        x, y = CENTRES[number] / 4
        column, row = int(x), int(y)
        scores[0, KINDS[number], row, column] = logit(SCORES[number])
        scores[0, KINDS[number], row, column + 1] = logit(SCORES[number] - 0.1)
        sizes[0, :, row, column] = SIZES[number] / 4
        offsets[0, :, row, column] = x - column, y - row
    head.output(head.op(activation, head.conv(scores)), *scores.shape, name="hm")
    head.output(head.conv(offsets), *offsets.shape, name="reg")
    head.output(head.conv(sizes), *sizes.shape, name="wh")
    return head
