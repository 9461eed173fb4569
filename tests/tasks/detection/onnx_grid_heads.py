"""Heads with a candidate for each grid cell or anchor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx_heads import (
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
    bins_with_mean,
    cell_centres,
    class_logits,
    distances,
    logit,
    on_grid,
)

ANCHORS = {
    8: [[10, 13], [16, 30], [33, 23]],
    16: [[30, 61], [62, 45], [59, 119]],
    32: [[116, 90], [156, 198], [373, 326]],
}


def anchor_level(
    stride: int, rows: int, columns: int, mine: list[tuple[int, int, int]], darknet: bool
) -> Array:
    """What the last convolution gives, (3, 5 + C, rows, columns); objects are on the second anchor."""
    raw = np.full((3, 5 + CLASSES, rows, columns), FAR_BELOW_ZERO)
    raw[:, :4] = 0
    for number, row, column in mine:
        offset = (CENTRES[number] / stride - [column, row]).clip(1e-5, 1 - 1e-5)
        ratio = SIZES[number] / ANCHORS[stride][1]
        centre, size = (offset, np.log(ratio)) if darknet else ((offset + 0.5) / 2, logit(np.sqrt(ratio) / 2))
        raw[1, :, row, column] = [*logit(centre), *size, logit(SCORES[number] ** 0.5), *class_logits(number)]
    return raw


def yolov5_raw(strides: tuple[int, ...] = (8, 16, 32)) -> Head:
    head = Head()
    for stride, rows, columns, mine in on_grid(strides):
        raw = anchor_level(stride, rows, columns, mine, darknet=False)
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
        raw = anchor_level(stride, rows, columns, mine, darknet=False).reshape(1, -1, rows, columns)
        head.output(head.conv(raw), *raw.shape, name=f"p{stride}")
    return head


def yolov5() -> Head:
    head, tables = Head(), []
    for stride, rows, columns, mine in on_grid((8, 16, 32)):
        raw = anchor_level(stride, rows, columns, mine, darknet=False)
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
        raw = anchor_level(stride, rows, columns, mine, darknet=True)
        value = head.shaped(head.conv(raw.reshape(1, -1, rows, columns)), 1, 3, 5 + CLASSES, rows, columns)
        xy, wh, rest = head.split(head.op("Transpose", value, perm=[0, 1, 3, 4, 2]), 4, 2, 2, 1 + CLASSES)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[None, None].astype(float)
        xy = head.op("Mul", head.op("Add", head.op("Sigmoid", xy), grid), float(stride))
        wh = head.op("Mul", head.op("Exp", wh), np.array(ANCHORS[stride], float).reshape(1, 3, 1, 1, 2))
        tables.append(head.shaped(head.joined(4, xy, wh, head.op("Sigmoid", rest)), 1, -1, 5 + CLASSES))
    head.output(head.joined(1, *tables), 1, 180, 5 + CLASSES, name="output0")
    return head


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


def distance_maps(
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
    for kind, side in distance_maps((8, 16, 32), 0.5, 16, share=1):
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
        distance_maps((8, 16, 32), 0.5, 16, share=1), on_grid((8, 16, 32)), strict=True
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
    for kind, side in distance_maps((8, 16, 32), 0.5, 8, share=1):
        for values, done, activation in ((kind, kinds, "Sigmoid"), (side, sides, "Identity")):
            flat = head.shaped(head.op(activation, head.conv(values)), 1, values.shape[1], -1)
            done.append((head.op("Transpose", flat, perm=[0, 2, 1]), values[0, 0].size, values.shape[1]))
    for index, (value, cells, width) in enumerate([*kinds, *sides]):
        head.output(value, 1, cells, width, name=f"out{index}")
    return head


def nanodet_plus() -> Head:
    head, levels = Head(), []
    for kind, side in distance_maps((8, 16, 32, 64), 0.0, 8, share=1):
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
