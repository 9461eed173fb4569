"""Heads with queries, and those that give finished lists."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
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
    logit,
)


def queries_of(count: int, classes: int, nothing: float) -> tuple[Array, Array]:
    """Boxes (count, 4; centre, size; fractions) and class logits (count, classes); the objects come last."""
    boxes, logits = np.full((count, 4), 0.5), np.full((count, classes), nothing)
    whole = np.array([WIDTH, HEIGHT])
    boxes[-2:] = np.concatenate([CENTRES / whole, SIZES / whole], axis=1)
    for number in (0, 1):
        logits[number - 2, KINDS[number]] = logit(SCORES[number])
    return boxes, logits


def table_of(head: Head, values: Array) -> str:
    """A table (N, K) that a last convolution gives, as 1 x N x K."""
    flat = head.conv(values.T[None, :, :, None])
    return str(head.op("Transpose", head.shaped(flat, 1, values.shape[1], -1), perm=[0, 2, 1]))


def rtdetr_logits() -> Head:
    head = Head()
    boxes, logits = queries_of(300, CLASSES, FAR_BELOW_ZERO)
    head.output(table_of(head, logits), 1, 300, CLASSES, name="logits")
    head.output(table_of(head, boxes), 1, 300, 4, name="pred_boxes")
    head.output(table_of(head, np.zeros((300, 8))), 1, 300, 8, name="last_hidden_state")
    return head


def detr() -> Head:
    head = Head(pixel_mask=[1, HEIGHT, WIDTH])
    boxes, _ = queries_of(100, 92, 0)
    logits = np.zeros((100, 92))
    logits[:, -1] = 30
    for number in (0, 1):
        odds = np.full(92, 1e-9)
        odds[KINDS[number]], odds[-1] = SCORES[number], 1 - SCORES[number]
        logits[number - 2] = np.log(odds)
    head.output(table_of(head, logits), 1, 100, 92, name="logits")
    head.output(table_of(head, boxes), 1, 100, 4, name="pred_boxes")
    return head


def rtdetr_ultralytics() -> Head:
    head = Head()
    boxes, logits = queries_of(300, CLASSES, FAR_BELOW_ZERO)
    head.output(
        head.joined(2, table_of(head, boxes), head.op("Sigmoid", table_of(head, logits))),
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
    boxes = table_of(head, BOXES / [WIDTH, HEIGHT, WIDTH, HEIGHT])
    head.output(
        head.op(
            "Cast", head.shaped(table_of(head, KINDS[:, None].astype(float)), 1, 2), to=TensorProto.INT64
        ),
        1,
        2,
        name="labels",
        kind=TensorProto.INT64,
    )
    head.output(head.op("Mul", boxes, head.shaped(size, 1, 1, 4)), 1, 2, 4, name="boxes")
    head.output(head.shaped(table_of(head, SCORES[:, None]), 1, 2), 1, 2, name="scores")
    return head


def yolov10() -> Head:
    head = Head()
    rows = np.zeros((300, 6))
    rows[:2] = np.column_stack([BOXES, SCORES, KINDS])
    head.output(table_of(head, rows), 1, 300, 6, name="output0")
    return head


def yolov7_end_to_end() -> Head:
    head = Head()
    rows = np.column_stack([np.zeros(2), BOXES, KINDS, SCORES])
    head.output(head.shaped(table_of(head, rows), -1, 7), None, 7, name="output")
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
        table = table_of(head, np.reshape(values, (-1, shape[-1] if len(shape) == 3 else 1)))
        head.output(head.op("Cast", head.shaped(table, *shape), to=kind), *shape, name=name, kind=kind)
    return head


def onnx_nms() -> Head:
    """ONNX's own NonMaxSuppression inside: 1 x (as many as stay) x 6. The first box stands there twice."""
    head = Head()
    boxes = np.concatenate([BOXES, BOXES[:1] + 1])
    scores = np.zeros((3, CLASSES))
    scores[[0, 1, 2], [*KINDS, KINDS[0]]] = [*SCORES, 0.3]
    box, score = table_of(head, boxes), head.op("Transpose", table_of(head, scores), perm=[0, 2, 1])
    chosen = head.op("NonMaxSuppression", box, score, np.array(100), np.array(0.5), np.array(0.1))
    _, kind, row = head.split(chosen, 1, 1, 1, 1)
    rows = head.op("GatherND", head.shaped(box, 3, 4), row)
    points = head.op("GatherND", head.shaped(score, CLASSES, 3), head.joined(1, kind, row))
    parts = rows, head.op("Unsqueeze", points, np.array([1])), head.op("Cast", kind, to=TensorProto.FLOAT)
    head.output(head.op("Unsqueeze", head.joined(1, *parts), np.array([0])), 1, None, 6, name="detections")
    return head
