"""One synthetic image: characters on blurred colour; turned, part of them see-through, part of it noisy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.demo.glyphs import CHARACTERS, FACES, Mask, rotated

Canvas: TypeAlias = NDArray[np.float32]  # (height, width, 3), BGR, 0..255

_WIDTHS, _HEIGHTS = (280, 420), (160, 320)
_CHARACTERS = (3, 8)
_SIZES = (20, 56)
_MOST_DEGREES = 40
_SEE_THROUGH_SHARE, _OPACITIES = 0.4, (0.35, 0.8)
_NOISY_SHARE, _NOISE = 0.4, (5, 30)
_SOFT_SHARE, _SOFTNESS = 0.2, (0.6, 1.5)
_LEAST_CONTRAST = 50
_GAP = 4
_ATTEMPTS = 40


@dataclass(frozen=True)
class Box:
    """Whole pixels: left and top edge, width, height."""

    x: int
    y: int
    width: int
    height: int

    def apart_from(self, other: Box) -> bool:
        """Whether at least a few pixels lie between the boxes."""
        return (
            self.x >= other.x + other.width + _GAP
            or other.x >= self.x + self.width + _GAP
            or self.y >= other.y + other.height + _GAP
            or other.y >= self.y + self.height + _GAP
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """An image, uint8 (height, width, 3) in BGR, and the tight box of each character in it."""

    image: NDArray[np.uint8]
    boxes: tuple[Box, ...]


def drawn_scene(rng: np.random.Generator) -> Scene:
    """Draw one image with up to 8 characters that do not touch."""
    canvas = _blurred_colour(rng)
    boxes: list[Box] = []
    for _ in range(rng.integers(*_CHARACTERS, endpoint=True)):
        mask = _character(rng)
        box = _free_place(rng, mask, canvas, boxes)
        if box is not None:
            _paint(rng, canvas, mask, box)
            boxes.append(box)
    return Scene(_degraded(rng, canvas), tuple(boxes))


def _blurred_colour(rng: np.random.Generator) -> Canvas:
    width, height = int(rng.integers(*_WIDTHS)), int(rng.integers(*_HEIGHTS))
    patches = rng.uniform(0, 255, (4, 6, 3)).astype(np.float32) + np.float32(rng.uniform(-67, 63))
    smooth = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.float32)


def _character(rng: np.random.Generator) -> Mask:
    face = FACES[int(rng.integers(len(FACES)))]
    character = CHARACTERS[int(rng.integers(len(CHARACTERS)))]
    size = int(rng.integers(*_SIZES, endpoint=True))
    return rotated(face(character, size), float(rng.uniform(-_MOST_DEGREES, _MOST_DEGREES)))


def _free_place(rng: np.random.Generator, mask: Mask, canvas: Canvas, taken: list[Box]) -> Box | None:
    height, width = mask.shape
    for _ in range(_ATTEMPTS):
        x = int(rng.integers(_GAP, canvas.shape[1] - width - _GAP))
        y = int(rng.integers(_GAP, canvas.shape[0] - height - _GAP))
        box = Box(x, y, width, height)
        if all(box.apart_from(other) for other in taken):
            return box
    return None


def _paint(rng: np.random.Generator, canvas: Canvas, mask: Mask, box: Box) -> None:
    behind = canvas[box.y : box.y + box.height, box.x : box.x + box.width]
    opacity = rng.uniform(*_OPACITIES) if rng.random() < _SEE_THROUGH_SHARE else 1.0
    coverage = mask[..., None].astype(np.float32) / 255 * np.float32(opacity)
    behind += coverage * (_visible_colour(rng, float(behind.mean())) - behind)


def _visible_colour(rng: np.random.Generator, behind: float) -> NDArray[np.float32]:
    colours = rng.uniform(0, 255, (_ATTEMPTS, 3)).astype(np.float32)
    contrast = np.abs(colours.mean(axis=1) - behind)
    enough = contrast > _LEAST_CONTRAST
    chosen: NDArray[np.float32] = colours[int(enough.argmax() if enough.any() else contrast.argmax())]
    return chosen


def _degraded(rng: np.random.Generator, canvas: Canvas) -> NDArray[np.uint8]:
    if rng.random() < _NOISY_SHARE:
        canvas = canvas + rng.normal(0, rng.uniform(*_NOISE), canvas.shape).astype(np.float32)
    if rng.random() < _SOFT_SHARE:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(*_SOFTNESS)).astype(np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
