"""From an image to a classifier's input, as the library that trained it does it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibrant.core.types import FloatArray
from calibrant.tasks.classification.profile import Preparation

_PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}
_OPENCV = {"opencv-linear": cv2.INTER_LINEAR, "opencv-lanczos": cv2.INTER_LANCZOS4}


def prepared(image: NDArray[np.uint8], preparation: Preparation, height: int, width: int) -> FloatArray:
    """The network's input (1, 3, height, width) for an image (uint8 BGR, H x W x 3)."""
    colours: NDArray[np.uint8] = image[:, :, ::-1] if preparation.rgb else image
    fitted = _fitted(np.ascontiguousarray(colours), preparation, height, width)
    mean, std = np.array(preparation.mean, np.float32), np.array(preparation.std, np.float32)
    values: FloatArray = (fitted.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


def _fitted(image: NDArray[np.uint8], preparation: Preparation, height: int, width: int) -> NDArray[Any]:
    if not preparation.crop_share:
        return _resized(image, (width, height), preparation.interpolation)
    if preparation.fit == "stretched" or (preparation.fit == "square" and height != width):
        wide, high = (int(side / preparation.crop_share) for side in (width, height))
    else:
        wide, high = _shorter_side(image, preparation, height, width)
    return _middle(_resized(image, (wide, high), preparation.interpolation), height, width)


def _shorter_side(
    image: NDArray[np.uint8], preparation: Preparation, height: int, width: int
) -> tuple[int, int]:
    """Width and height after resizing so that the middle of the input's size can be cut out."""
    side = int(min(height, width) / preparation.crop_share)
    high, wide = image.shape[:2]
    whole = round if preparation.interpolation in _OPENCV else int  # torchvision cuts, PaddleClas rounds
    scaled = (side, whole(side * high / wide)) if wide <= high else (whole(side * wide / high), side)
    return max(scaled[0], width), max(scaled[1], height)


def _middle(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    top, left = (round((image.shape[axis] - size) / 2) for axis, size in ((0, height), (1, width)))
    return image[top : top + height, left : left + width]


def _resized(image: NDArray[np.uint8], size: tuple[int, int], interpolation: str) -> NDArray[Any]:
    if (image.shape[1], image.shape[0]) == size:
        return image
    if interpolation in _OPENCV:
        return cv2.resize(image, size, interpolation=_OPENCV[interpolation])
    return np.asarray(Image.fromarray(image).resize(size, _PILLOW[interpolation]))
