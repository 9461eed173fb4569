"""From an image to the network's input, exactly as training pipelines do it, and back again for boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibrant.core.types import FloatArray
from calibrant.tasks.detection.profile import InputProfile

_OPENCV = {
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
}


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the network's input.

    The original of ``width`` x ``height`` pixels was resized to ``resized_width`` x ``resized_height`` and
    its top left corner put at (``left``, ``top``).
    """

    width: int
    height: int
    resized_width: int
    resized_height: int
    left: int = 0
    top: int = 0

    def to_original(self, boxes: FloatArray) -> FloatArray:
        """Corners (N, 4) in input pixels as corners in pixels of the original image, cut at its edges."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        scale = np.array([self.width / self.resized_width, self.height / self.resized_height] * 2, np.float32)
        edges = np.array([self.width, self.height] * 2, np.float32)
        result: FloatArray = np.clip((boxes - offset) * scale, np.float32(0), edges)
        return result


def placement(
    image_height: int, image_width: int, profile: InputProfile, height: int, width: int
) -> Placement:
    """Where an image of this size goes in an input of ``height`` x ``width``, pixels."""
    if profile.resize == "stretch":
        return Placement(image_width, image_height, width, height)
    ratio = min(height / image_height, width / image_width)
    whole = round if profile.rounding == "nearest" else int
    resized_width, resized_height = max(1, whole(image_width * ratio)), max(1, whole(image_height * ratio))
    if profile.align == "top-left":
        return Placement(image_width, image_height, resized_width, resized_height)
    # An odd pixel of padding goes to the right and bottom: so the 0.1 of Ultralytics' letterbox decides.
    left, top = round((width - resized_width) / 2 - 0.1), round((height - resized_height) / 2 - 0.1)
    return Placement(image_width, image_height, resized_width, resized_height, left, top)


def prepare(
    image: NDArray[np.uint8], profile: InputProfile, height: int, width: int
) -> tuple[FloatArray, Placement]:
    """The network's input for an image (uint8 BGR, H x W x 3), and where the image lies in it.

    The tensor is float32, contiguous, (1, 3, height, width), or (1, height, width, 3) when the profile's
    layout is NHWC. Its values are (pixel / divide - mean) / std, in float32.
    """
    pixels, where = framed(image, profile, height, width)
    return normalised(pixels, profile), where


def framed(
    image: NDArray[np.uint8], profile: InputProfile, height: int, width: int
) -> tuple[NDArray[np.uint8], Placement]:
    """An image fitted into ``height`` x ``width`` pixels (uint8 BGR), and where it lies there."""
    where = placement(image.shape[0], image.shape[1], profile, height, width)
    return _framed(image, profile, where, height, width), where


def normalised(pixels: NDArray[np.uint8], profile: InputProfile) -> FloatArray:
    """The network's input for an image that fits it (uint8 BGR, H x W x 3)."""
    tensor = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    for index, channel in enumerate((2, 1, 0) if profile.colour == "rgb" else (0, 1, 2)):
        _normalise(pixels[:, :, channel], profile, index, tensor[0, index])
    if profile.layout == "nhwc":
        tensor = np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))
    return tensor


def _framed(
    image: NDArray[np.uint8], profile: InputProfile, where: Placement, height: int, width: int
) -> NDArray[Any]:
    size = (where.resized_width, where.resized_height)
    resized: NDArray[Any] = image
    if size != (where.width, where.height):
        resized = _resized(image, size, profile.interpolation)
    if size == (width, height):
        return resized
    right, bottom = width - size[0] - where.left, height - size[1] - where.top
    pad = (profile.pad,) * 3
    return cv2.copyMakeBorder(resized, where.top, bottom, where.left, right, cv2.BORDER_CONSTANT, value=pad)


def _resized(image: NDArray[np.uint8], size: tuple[int, int], interpolation: str) -> NDArray[Any]:
    if interpolation == "pillow":
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    return cv2.resize(image, size, interpolation=_OPENCV[interpolation])


def _normalise(pixels: NDArray[Any], profile: InputProfile, channel: int, out: NDArray[np.float32]) -> None:
    np.divide(pixels, np.float32(profile.divide), out=out, dtype=np.float32)
    mean, std = profile.mean[channel], profile.std[channel]
    if mean != 0:
        np.subtract(out, np.float32(mean), out=out)
    if std != 1:
        np.divide(out, np.float32(std), out=out)
