"""How an image becomes a segmenter's input, and how what it gives becomes a map of the image's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray
from calibrant.tasks.semantic.types import NO_CLASS

_PAD = 114
_ENDLESS = 1e30
"""Stands for what is no number: it is never the greatest."""


@dataclass(frozen=True)
class Preparation:
    """From an image to (pixel / 255 - mean) / std, red first.

    letterbox: the shape is kept and the rest filled, half on each side; else the image is stretched.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    letterbox: bool = False


FAMILIES: Mapping[str, Preparation] = {
    # torchvision.transforms.SemanticSegmentation, transformers' SegformerImageProcessor, mmsegmentation
    "torchvision": Preparation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # PaddleSeg's Normalize, and TensorFlow's DeepLab: x / 127.5 - 1
    "paddleseg": Preparation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # Ultralytics' LetterBox without a mean
    "ultralytics": Preparation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), letterbox=True),
}


@dataclass(frozen=True)
class Place:
    """Where an image lies in the input, pixels."""

    top: int
    left: int
    height: int
    width: int


def placed(size: tuple[int, int], how: Preparation, sides: tuple[int, int]) -> Place:
    """Where an image of this size (height, width) goes in an input of ``sides`` (height, width)."""
    if not how.letterbox:
        return Place(0, 0, *sides)
    ratio = min(sides[0] / size[0], sides[1] / size[1])
    height, width = (max(1, round(side * ratio)) for side in size)
    # An odd pixel of padding goes to the right and bottom, as Ultralytics' LetterBox has it.
    top, left = (round((side - inner) / 2 - 0.1) for side, inner in zip(sides, (height, width), strict=True))
    return Place(top, left, height, width)


def prepared(image: NDArray[np.uint8], how: Preparation, sides: tuple[int, int]) -> FloatArray:
    """The network's input (1, 3, *sides), float32, for an image (uint8 BGR, H x W x 3)."""
    place = placed(image.shape[:2], how, sides)
    fitted = np.full((*sides, 3), _PAD, np.uint8)
    resized = cv2.resize(image, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    fitted[place.top : place.top + place.height, place.left : place.left + place.width] = resized
    scaled = fitted[:, :, ::-1].astype(np.float32) / np.float32(255)
    values = (scaled - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    tensor: FloatArray = np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)
    return tensor


def of_scores(
    scores: FloatArray, how: Preparation, sides: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.uint16]:
    """The class of each pixel of an image of ``size`` (height, width) from scores (C, h, w).

    Scores are brought to the image's size first, bilinearly, and the greatest is taken there, as
    transformers' post_process_semantic_segmentation and mmsegmentation do; of equal ones the first.
    """
    place = placed(size, how, sides)
    best = np.full(size, -np.inf, np.float32)
    classes = np.zeros(size, np.uint16)
    for index, channel in enumerate(scores):
        plain = np.nan_to_num(channel, nan=-_ENDLESS, posinf=_ENDLESS, neginf=-_ENDLESS).astype(np.float32)
        fitted = _fitted(plain, place, sides, size, cv2.INTER_LINEAR)
        is_better = fitted > best
        np.copyto(best, fitted, where=is_better)
        classes[is_better] = index
    return classes


def of_classes(
    found: NDArray[np.generic], how: Preparation, sides: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.uint16]:
    """The class of each pixel of an image of ``size`` from a map of classes (h, w): the nearest."""
    numbers = np.asarray(found, np.int64)
    plain = np.where((numbers < 0) | (numbers >= NO_CLASS), NO_CLASS, numbers).astype(np.uint16)
    return np.asarray(_fitted(plain, placed(size, how, sides), sides, size, cv2.INTER_NEAREST), np.uint16)


def _fitted(
    channel: NDArray[Any], place: Place, sides: tuple[int, int], size: tuple[int, int], way: int
) -> NDArray[Any]:
    """One channel over the whole input, as it lies over the image."""
    whole = np.ascontiguousarray(channel)
    if (place.height, place.width) != sides:
        whole = _resized(whole, sides, way)
        whole = whole[place.top : place.top + place.height, place.left : place.left + place.width]
    return _resized(np.ascontiguousarray(whole), size, way)


def _resized(channel: NDArray[Any], size: tuple[int, int], way: int) -> NDArray[Any]:
    if channel.shape == size:
        return channel
    return np.asarray(cv2.resize(channel, size[::-1], interpolation=way))
