"""Instances drawn on their image: masks tinted, skeletons as points, turned boxes as outlines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.instances.differences import SURE
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.masks import Mask
from calibrant.tasks.detection.instances.turned import polygons
from calibrant.tasks.detection.instances.types import Instances
from calibrant.tasks.detection.picture import png
from calibrant.tasks.media.images import read_image

_COLOURS = ((66, 133, 244), (219, 68, 55), (244, 180, 0), (15, 157, 88), (171, 71, 188), (0, 172, 193))
_SEEN = 0.5


def drawn_instances(kind: Kind, path: Path, found: Instances, labels: Sequence[str]) -> tuple[str, bytes]:
    """A sentence, and the image with what scores 0.25 or more, as a PNG file's content. Raises ImageError."""
    sure = found.at(found.scores >= SURE)
    best = f", the best {labels[sure.classes[0]]} at {sure.scores[0]:.2f}" if len(sure) else ""
    return f"{kind.words.labels} that score {SURE} or more: {len(sure)}{best}", png(painted(path, sure))


def painted(path: Path, found: Instances) -> NDArray[np.uint8]:
    """The image (uint8 BGR) with every instance drawn. Raises ImageError."""
    image = read_image(path).copy()
    for position, (box, shape) in enumerate(zip(found.boxes, found.shapes, strict=True)):
        _paint(image, box, shape, _COLOURS[position % len(_COLOURS)][::-1])
    return image


def _paint(image: NDArray[np.uint8], box: NDArray[np.float32], shape: Any, colour: Sequence[int]) -> None:
    if isinstance(shape, Mask):
        window = image[shape.top : shape.top + len(shape.bits), shape.left : shape.left + shape.width]
        pixels = shape.pixels
        window[pixels] = (0.5 * window[pixels] + 0.5 * np.array(colour)).astype(np.uint8)
    elif shape.ndim == 1:
        cv2.polylines(image, [np.round(polygons(shape)[0]).astype(np.int32)], True, tuple(colour), 2)
        return
    else:
        for x, y, seen in shape:
            if seen >= _SEEN:
                cv2.circle(image, (round(float(x)), round(float(y))), 3, tuple(colour), -1)
    left, top, right, bottom = (round(float(value)) for value in box)
    cv2.rectangle(image, (left, top), (right, bottom), tuple(colour), 1)
