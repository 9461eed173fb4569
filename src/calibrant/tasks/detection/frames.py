"""Images fitted into the network's input, found again instead of read and resized again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, astuple, fields
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from calibrant.core.reading import read_bytes
from calibrant.core.tasks import ResultCache
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.preprocess import Placement, framed
from calibrant.tasks.detection.profile import InputProfile
from calibrant.tasks.media.images import read_image

_KIND = "frames"


FittedImage = tuple[NDArray[np.uint8], Placement]
Frames = Callable[[Path], FittedImage]


def fresh_frames(profile: InputProfile, frame: Frame) -> Frames:
    """Reads an image and fits it into a frame. Raises ImageError."""
    return partial(_fitted, profile, frame)


def kept_frames(profile: InputProfile, frame: Frame, cache: ResultCache) -> Frames:
    """As :func:`fresh_frames`; what was fitted once is kept, by the file's content."""
    fresh = fresh_frames(profile, frame)
    decided_by = json.dumps([asdict(profile), astuple(frame), cv2.__version__, PIL.__version__])

    def fitted(path: Path) -> FittedImage:
        try:
            content = read_bytes(path)
        except OSError:
            return fresh(path)  # which says what is wrong
        key = f"{hashlib.sha256(content).hexdigest()} {decided_by}"
        kept = cache.read(_KIND, key)
        if kept is not None and len(kept) == _bytes_of(frame):
            return _unpacked(kept, frame)
        found = fresh(path)
        cache.write(_KIND, key, _packed(*found))
        return found

    return fitted


def _fitted(profile: InputProfile, frame: Frame, path: Path) -> FittedImage:
    return framed(read_image(path), profile, frame.height, frame.width)


def _bytes_of(frame: Frame) -> int:
    return 8 * len(fields(Placement)) + 3 * frame.height * frame.width


def _packed(pixels: NDArray[np.uint8], where: Placement) -> bytes:
    return np.array(astuple(where), np.int64).tobytes() + pixels.tobytes()


def _unpacked(content: bytes, frame: Frame) -> FittedImage:
    count = len(fields(Placement))
    where = Placement(*np.frombuffer(content, np.int64, count).tolist())
    pixels = np.frombuffer(content, np.uint8, offset=8 * count)
    return pixels.reshape(frame.height, frame.width, 3), where
