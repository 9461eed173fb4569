"""Small copies of images, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from calibrant.tasks.media.images import ImageFile, read_image


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG of ``width`` x ``height`` pixels, ``scale`` (0..1) times the original; without metadata."""

    jpeg: bytes
    width: int
    height: int
    scale: float


def thumbnail(path: ImageFile, longest_side: int, quality: int) -> Thumbnail:
    """An image scaled down to ``longest_side`` pixels where it is larger; quality: JPEG's, 0..100.

    Raises ImageError for a file that :func:`read_image` refuses.
    """
    pixels = read_image(path)
    height, width = pixels.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Thumbnail(encoded.tobytes(), *size, scale)
